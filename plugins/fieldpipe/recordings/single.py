"""One recording, from wherever a person says to wherever they say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from fieldpipe.errors import PermanentError
from fieldpipe.handover import MANIFEST, utc_text
from fieldpipe.recordings.convert import Source, convert_from
from fieldpipe.recordings.crew import Crew, Task
from fieldpipe.recordings.locations import FolderTarget, ObjectPlace, Target, parse
from fieldpipe.recordings.options import DEFAULT, Options
from fieldpipe.recordings.publish import publish
from fieldpipe.recordings.reader import LocalReader, Reader
from fieldpipe.recordings.workspace import sweep, workspace

if TYPE_CHECKING:  # what knows the store is imported when a place is in it: the SDK takes longer than a small recording
    from fieldpipe.store import ObjectStore

Connect = Callable[[], "ObjectStore"]
"""Connects to the store when one of the places is in it."""

UPLOADS = 8  # at a time
HASHED_AT_ONCE = 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Result:
    """Where the results are, and their manifest. `was_there`: an earlier run had made them."""

    where: str
    manifest: dict[str, Any]
    was_there: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A recording that can be read. What it is called may take as long to find out as its bytes take to read."""

    reader: Reader
    source: Task[Source]
    modified: datetime


def convert_location(source: str, target: str, connect: Connect, options: Options = DEFAULT) -> Result:
    """Convert SOURCE (a path or `s3://bucket/key`) into TARGET (a folder, or `s3://bucket/prefix`).

    Raises PermanentError when there is no such recording, it cannot be converted, or TARGET holds other results.
    """
    with ExitStack() as stack:
        opened = stack.enter_context(open_location(source, connect, options))
        place = _target(parse(target), connect, stack)
        if existing := place.read(MANIFEST):
            found = _same(existing, opened.source.result(), options, place)
            return Result(place.where(MANIFEST), found, was_there=True)
        folder = _workspace(place, stack)
        conversion = convert_from(opened.reader, folder, processed_at=utc_text(opened.modified), options=options)
        made, _ = publish(conversion, opened.source.result(), place)
        return Result(place.where(MANIFEST), made, was_there=False)


@contextmanager
def open_location(source: str, connect: Connect, options: Options = DEFAULT) -> Iterator[Opened]:
    """Open SOURCE for reading. Raises PermanentError when there is no such recording."""
    place = parse(source)
    with ExitStack() as stack:
        if isinstance(place, Path):
            yield _open_file(place, options, stack)
        else:
            yield _open_object(place, connect, stack)


def _open_file(path: Path, options: Options, stack: ExitStack) -> Opened:
    reader = stack.enter_context(LocalReader(path))
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    beside = stack.enter_context(Crew(1 if options.workers == 1 else 2))
    is_over = Event()
    stack.callback(is_over.set)
    return Opened(reader, beside.submit(lambda: _hashed(path, reader, modified, is_over)), modified)


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
    folder = stack.enter_context(workspace())
    reader, found = stack.enter_context(opened(store, place.bucket, place.key, folder, etag=etag))
    source = source_of(found)
    return Opened(reader, Crew(1).submit(lambda: source), source.modified)


def _target(place: Path | ObjectPlace, connect: Connect, stack: ExitStack) -> Target:
    if isinstance(place, Path):
        return FolderTarget(place)
    from fieldpipe.recordings.buckettarget import BucketTarget

    uploads = stack.enter_context(ThreadPoolExecutor(UPLOADS))
    return BucketTarget(connect(), place.bucket, place.key.rstrip("/") + "/", uploads)


def _workspace(place: Target, stack: ExitStack) -> Path:
    """Where results grow: for a folder in that folder, so that they need not be copied."""
    parent = place.folder if isinstance(place, FolderTarget) else None
    sweep(parent)
    return stack.enter_context(workspace(parent))


def _same(existing: bytes, source: Source, options: Options, place: Target) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(existing)
    where, chosen = place.where(MANIFEST), manifest.get("options", {})
    if manifest["source"]["etag"] != source.etag:
        other = manifest["source"]["key"]
        raise PermanentError(f"{where} belongs to another recording ({other}): choose another target")
    if chosen != options.described():
        raise PermanentError(f"{where} was made with other options ({chosen}): choose another target")
    return manifest
