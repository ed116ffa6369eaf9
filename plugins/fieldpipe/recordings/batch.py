"""The recordings of one run, converted and published one by one."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from fieldpipe.handover import (
    MANIFEST,
    PIPELINE_VERSION,
    Outcome,
    Report,
    WorkItem,
    result_prefix,
    utc_text,
)
from fieldpipe.recordings.buckettarget import BucketTarget
from fieldpipe.recordings.convert import convert_from
from fieldpipe.recordings.latest import update_latest
from fieldpipe.recordings.objectreader import opened, source_of
from fieldpipe.recordings.publish import publish
from fieldpipe.recordings.workspace import sweep, workspace
from fieldpipe.store import ObjectInfo, ObjectNotFound
from fieldpipe.work import Run, attempt_each

OBJECTS_AT_ONCE = 4  # downloading and uploading overlap; only one is decoded at a time, which bounds memory
UPLOADS_AT_ONCE = 8


def convert_batch(items: list[WorkItem], run: Run) -> int:
    """Convert every object and report on each; returns the exit code that stands for the worst outcome."""
    sweep()
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as uploads:
        return attempt_each(items, run, _Converter(run, uploads).convert, at_once=OBJECTS_AT_ONCE)


class _Converter:
    def __init__(self, run: Run, uploads: Executor) -> None:
        self._run = run
        self._store = run.store
        self._uploads = uploads
        self._decoding = threading.Lock()

    def convert(self, item: WorkItem) -> Report:
        version = item.version_id if item.version_id != "null" else None
        etag = item.etag or self._store.stat(item.bucket, item.key, version_id=version).etag
        prefix = result_prefix(item.key, etag, PIPELINE_VERSION)
        target = BucketTarget(self._store, self._run.bucket, prefix, self._uploads)
        if target.read(MANIFEST) is not None:
            found, reason = self._still_there(item, version), "its results were there already"
        else:
            with workspace() as folder:
                found, reason = self._make(item, etag, version, folder, target)
        if found and found.etag == etag:
            update_latest(self._store, self._run.bucket, prefix + MANIFEST, source_of(found))
        return Report(Outcome.CONVERTED, reason, prefix + MANIFEST)

    def _still_there(self, item: WorkItem, version: str | None) -> ObjectInfo | None:
        """The source of results that exist: an earlier try may have died before it named them the latest."""
        try:
            return self._store.stat(item.bucket, item.key, version_id=version)
        except ObjectNotFound:
            return None

    def _make(
        self, item: WorkItem, etag: str, version: str | None, folder: Path, target: BucketTarget
    ) -> tuple[ObjectInfo, str]:
        results = folder / "results"
        results.mkdir()
        with opened(self._store, item.bucket, item.key, folder, etag=etag, version_id=version) as (reader, found):
            source = source_of(found)
            with self._decoding:
                conversion = convert_from(reader, results, processed_at=item.received or utc_text(source.modified))
        _, created = publish(conversion, source, target)
        return found, "" if created else "another process was quicker"
