"""`latest.json`, which names the newest result of a key: the only object that is ever replaced."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from fieldpipe.crashpoints import reach
from fieldpipe.errors import TransientError
from fieldpipe.handover import PIPELINE_VERSION, canonical_json, latest_key, utc_text
from fieldpipe.recordings.convert import Source
from fieldpipe.store import ObjectNotFound, ObjectStore

MAX_LATEST = 64 * 1024  # bytes
MAX_RACES = 20


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
