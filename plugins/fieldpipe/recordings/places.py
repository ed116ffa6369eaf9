"""Recordings wherever they are, opened for reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fieldpipe.recordings.convert import Source
from fieldpipe.recordings.locations import ObjectPlace, parse
from fieldpipe.recordings.reader import LocalReader, Reader
from fieldpipe.recordings.sourcesum import SourceSum
from fieldpipe.recordings.workspace import sweep, workspace

if TYPE_CHECKING:  # what knows the store is imported when a place is in it: the SDK takes longer than a small recording
    from fieldpipe.store import ObjectStore

Connect = Callable[[], "ObjectStore"]
"""Connects to the store when a place is in it."""


class Opened(NamedTuple):
    """A recording that can be read. `source` says what it is; that may take a `sum` of it, at best taken meanwhile."""

    reader: Reader
    source: Callable[[], Source]
    modified: datetime
    sum: SourceSum | None = None


@contextmanager
def open_location(place: str, connect: Connect) -> Iterator[Opened]:
    """Open a path or `s3://bucket/key`. Raises PermanentError when there is no such recording."""
    parsed = parse(place)
    with ExitStack() as stack:
        if isinstance(parsed, Path):
            yield _open_file(parsed, stack)
        else:
            yield _open_object(parsed, connect, stack)


def _open_file(path: Path, stack: ExitStack) -> Opened:
    reader = stack.enter_context(LocalReader(path))
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    taken = SourceSum(reader)
    return Opened(reader, lambda: Source("", path.name, taken.hexdigest(), reader.size, modified), modified, taken)


def _open_object(place: ObjectPlace, connect: Connect, stack: ExitStack) -> Opened:
    from fieldpipe.recordings.objectreader import opened, source_of

    store = connect()
    etag = store.stat(place.bucket, place.key).etag
    sweep()
    folder = stack.enter_context(workspace())
    reader, found = stack.enter_context(opened(store, place.bucket, place.key, folder, etag=etag))
    source = source_of(found)
    return Opened(reader, lambda: source, source.modified)
