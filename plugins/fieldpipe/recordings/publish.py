"""Results -> where people find them: outputs first, then the manifest, which exists once or not at all.

Whoever finds a manifest finds everything it names. Of several processes that convert the same recording one creates the
manifest; their outputs have the same bytes, so it does not matter whose are there.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterator
from concurrent.futures import Executor
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from fieldpipe.crashpoints import reach
from fieldpipe.errors import TransientError
from fieldpipe.handover import MANIFEST, PIPELINE_VERSION, latest_key, utc_text
from fieldpipe.recordings.convert import Conversion, Source, manifest
from fieldpipe.recordings.locations import Target
from fieldpipe.store import ObjectNotFound, ObjectStore, canonical_json

UPLOADS_AT_ONCE = 256  # waiting for the executor; a recording may have 100,000 pictures
MAX_LATEST = 64 * 1024  # bytes of latest.json
MAX_RACES = 20


def publish(conversion: Conversion, source: Source, target: Target, uploads: Executor) -> tuple[dict[str, Any], bool]:
    """Upload everything, then create the manifest; returns it, and whether it was ours that was created."""
    described = manifest(conversion, source)
    files = _files(conversion)
    while block := list(islice(files, UPLOADS_AT_ONCE)):
        list(uploads.map(lambda file: _upload(target, *file), block))
    reach("recordings.complete")
    created = target.create(MANIFEST, canonical_json(described))
    reach("recordings.manifest")
    return described, created


def update_latest(store: ObjectStore, bucket: str, manifest_key: str, source: Source) -> bool:
    """Let `latest.json` name this result if its source is the newest. False: it names a newer one.

    Times of objects have whole seconds only: of two versions of one second, the one that is there now is the newer.
    """
    key = latest_key(source.key)
    ours = {
        "manifest": manifest_key,
        "etag": source.etag,
        "modified": utc_text(source.modified),
        "pipeline_version": PIPELINE_VERSION,
    }
    for _ in range(MAX_RACES):
        theirs, etag = _read_latest(store, bucket, key)
        if theirs and (theirs == ours or not _is_newer(store, ours, theirs, source)):
            return theirs == ours
        content = canonical_json(ours)
        if store.replace(bucket, key, content, etag=etag) if etag else store.create(bucket, key, content):
            reach("recordings.latest")
            return True
    raise TransientError(f"{bucket}/{key} keeps changing under {MAX_RACES} attempts to replace it")


def _files(conversion: Conversion) -> Iterator[tuple[str, Path]]:
    for output in conversion.outputs:
        yield output.name, output.path
        if output.folder:
            yield from ((f"{output.pictures}/{path.name}", path) for path in sorted(output.folder.iterdir()))


def _upload(target: Target, name: str, path: Path) -> None:
    content_type = "text/csv; charset=utf-8" if name.endswith(".csv") else mimetypes.guess_type(name)[0]
    target.upload(name, path, content_type or "application/octet-stream")
    reach("recordings.uploaded")


def _read_latest(store: ObjectStore, bucket: str, key: str) -> tuple[dict[str, Any], str]:
    try:
        content, etag = store.get(bucket, key, limit=MAX_LATEST)
    except ObjectNotFound:
        return {}, ""
    try:
        value = json.loads(content)
        datetime.fromisoformat(value["modified"])
    except (ValueError, KeyError, TypeError):
        return {}, etag  # not ours, or broken: it is replaced
    return value, etag


def _is_newer(store: ObjectStore, ours: dict[str, Any], theirs: dict[str, Any], source: Source) -> bool:
    if ours["modified"] == theirs["modified"] and ours["etag"] != theirs.get("etag"):
        try:
            return store.stat(source.bucket, source.key).etag == source.etag
        except ObjectNotFound:
            return False
    return _rank(ours) > _rank(theirs)


def _rank(latest: dict[str, Any]) -> tuple[datetime, int]:
    return datetime.fromisoformat(latest["modified"]).astimezone(UTC), int(latest.get("pipeline_version", 0))
