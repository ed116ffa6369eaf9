"""Recordings wherever they are, opened for reading."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from fieldpipe.recordings.convert import Source
from fieldpipe.recordings.locations import ObjectPlace, parse
from fieldpipe.recordings.reader import LocalReader, Reader
from fieldpipe.recordings.workspace import sweep, workspace

if TYPE_CHECKING:  # what knows the store is imported when a place is in it: the SDK takes longer than a small recording
    from fieldpipe.store import ObjectStore

Connect = Callable[[], "ObjectStore"]
"""Connects to the store when a place is in it."""

HASHED_AT_ONCE = 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """A recording that can be read. What `source` gives may take as long to find out as its bytes take to read."""

    reader: Reader
    source: Callable[[], Source]
    modified: datetime


@contextmanager
def open_location(place: str, connect: Connect, *, workers: int | None = None) -> Iterator[Opened]:
    """Open a path or `s3://bucket/key`. Raises PermanentError when there is no such recording."""
    parsed = parse(place)
    with ExitStack() as stack:
        if isinstance(parsed, Path):
            yield _open_file(parsed, workers, stack)
        else:
            yield _open_object(parsed, connect, stack)


def _open_file(path: Path, workers: int | None, stack: ExitStack) -> Opened:
    reader = stack.enter_context(LocalReader(path))
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    is_over = Event()
    hashed: Callable[[], Source] = partial(_hashed, path, reader, modified, is_over)
    if workers != 1:
        beside = stack.enter_context(ThreadPoolExecutor(1))
        hashed = beside.submit(hashed).result
    stack.callback(is_over.set)
    return Opened(reader, hashed, modified)


def _hashed(path: Path, reader: Reader, modified: datetime, is_over: Event) -> Source:
    digest = hashlib.sha256()
    for start in range(0, reader.size, HASHED_AT_ONCE):
        if is_over.is_set():
            break
        digest.update(reader.read(start, HASHED_AT_ONCE))
    return Source("", path.name, digest.hexdigest(), reader.size, modified)


def _open_object(place: ObjectPlace, connect: Connect, stack: ExitStack) -> Opened:
    from fieldpipe.recordings.objectreader import opened, source_of

    store = connect()
    etag = store.stat(place.bucket, place.key).etag
    sweep()
    folder = stack.enter_context(workspace())
    reader, found = stack.enter_context(opened(store, place.bucket, place.key, folder, etag=etag))
    source = source_of(found)
    return Opened(reader, lambda: source, source.modified)
