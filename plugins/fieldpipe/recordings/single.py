"""One recording, from wherever a person says to wherever they say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fieldpipe.errors import PermanentError
from fieldpipe.handover import MANIFEST, utc_text
from fieldpipe.recordings.convert import Source, convert
from fieldpipe.recordings.locations import BucketTarget, FolderTarget, ObjectPlace, Target, parse
from fieldpipe.recordings.publish import publish
from fieldpipe.recordings.workspace import sweep, workspace
from fieldpipe.store import ObjectStore

Connect = Callable[[], ObjectStore]
"""Connects to the store when one of the places is in it."""

UPLOADS = 8  # at a time


@dataclass(frozen=True, slots=True)
class Result:
    """Where the results are, and their manifest. `was_there`: an earlier run had made them."""

    where: str
    manifest: dict[str, Any]
    was_there: bool


def convert_location(source: str, target: str, connect: Connect) -> Result:
    """Convert SOURCE (a path or `s3://bucket/key`) into TARGET (a folder, or `s3://bucket/prefix`).

    Raises PermanentError when there is no such recording, it cannot be converted, or TARGET holds other results.
    """
    sweep()
    with workspace() as folder, ThreadPoolExecutor(UPLOADS) as uploads:
        path, described = _fetch(parse(source), folder, connect)
        place = _target(parse(target), connect)
        if existing := place.read(MANIFEST):
            return Result(place.where(MANIFEST), _same(existing, described, place), was_there=True)
        results = folder / "results"
        results.mkdir()
        conversion = convert(path, results, processed_at=utc_text(described.modified))
        made, _ = publish(conversion, described, place, uploads)
        return Result(place.where(MANIFEST), made, was_there=False)


def _fetch(place: Path | ObjectPlace, folder: Path, connect: Connect) -> tuple[Path, Source]:
    if isinstance(place, Path):
        return place, _local(place)
    store = connect()
    etag = store.stat(place.bucket, place.key).etag
    path = folder / "source"
    with path.open("xb") as file:
        found = store.download(place.bucket, place.key, file, etag=etag)
    assert found.modified is not None
    return path, Source(place.bucket, place.key, etag, found.size, found.modified)


def _local(path: Path) -> Source:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        stat = path.stat()
    except OSError as error:
        raise PermanentError(f"{path}: cannot be read: {error.strerror}") from error
    return Source("", path.name, digest, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))


def _target(place: Path | ObjectPlace, connect: Connect) -> Target:
    if isinstance(place, Path):
        return FolderTarget(place)
    return BucketTarget(connect(), place.bucket, place.key.rstrip("/") + "/")


def _same(existing: bytes, source: Source, place: Target) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(existing)
    if manifest["source"]["etag"] != source.etag:
        raise PermanentError(
            f"{place.where(MANIFEST)} belongs to another recording ({manifest['source']['key']}): choose another target"
        )
    return manifest
