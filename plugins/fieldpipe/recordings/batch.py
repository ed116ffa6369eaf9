"""The objects of one run: every one is attempted, every one gets a report of its own."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fieldpipe import logs
from fieldpipe.crashpoints import reach
from fieldpipe.errors import EXIT_BUG, EXIT_PERMANENT, EXIT_TRANSIENT, PermanentError, TransientError
from fieldpipe.handover import (
    MANIFEST,
    PIPELINE_VERSION,
    Outcome,
    Report,
    WorkItem,
    report_key,
    result_prefix,
    utc_text,
)
from fieldpipe.recordings.convert import Source, convert
from fieldpipe.recordings.locations import BucketTarget, no_bucket
from fieldpipe.recordings.publish import publish, update_latest
from fieldpipe.recordings.workspace import sweep, workspace
from fieldpipe.store import ObjectChanged, ObjectInfo, ObjectNotFound, ObjectStore

OBJECTS_AT_ONCE = 4  # downloading and uploading overlap; only one is decoded at a time, which bounds memory
UPLOADS_AT_ONCE = 8
MAX_REASON = 1000  # characters
_EXIT_CODES = {Outcome.REJECTED: EXIT_PERMANENT, Outcome.TRANSIENT: EXIT_TRANSIENT}
_WORST_FIRST = (EXIT_BUG, EXIT_TRANSIENT, EXIT_PERMANENT)

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """Which run this is and where its results go. `attempt` is the task's try number."""

    store: ObjectStore
    bucket: str
    run_id: str
    attempt: int


def convert_batch(items: list[WorkItem], run: Run) -> int:
    """Convert every object; returns the exit code that stands for the worst outcome (bug, transient, permanent)."""
    sweep()
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as uploads, ThreadPoolExecutor(OBJECTS_AT_ONCE) as objects:
        converter = _Converter(run, uploads)
        codes = set(objects.map(converter.attempt, items))
    return next((code for code in _WORST_FIRST if code in codes), 0)


class _Converter:
    def __init__(self, run: Run, uploads: Executor) -> None:
        self._run = run
        self._store = run.store
        self._uploads = uploads
        self._decoding = threading.Lock()

    def attempt(self, item: WorkItem) -> int:
        """Convert one object and report on it; returns its exit code. A bug costs this object its report, no more."""
        began = time.monotonic()
        try:
            report = self._outcome(item)
            reach("recordings.before_report", item.key)
            self._report(item, report)
            reach("recordings.reported", item.key)
        except TransientError as error:
            log.warning("report_failed", bucket=item.bucket, key=item.key, reason=str(error))
            return EXIT_TRANSIENT
        except Exception:
            log.exception("recording_crashed", bucket=item.bucket, key=item.key)
            return EXIT_BUG
        seconds = round(time.monotonic() - began, 3)
        log.info(f"recording_{report.outcome}", bucket=item.bucket, key=item.key, reason=report.reason, seconds=seconds)
        return _EXIT_CODES.get(report.outcome, 0)

    def _outcome(self, item: WorkItem) -> Report:
        try:
            return self._convert(item)
        except ObjectNotFound as error:
            return Report(Outcome.GONE, _reason(error))
        except ObjectChanged as error:
            return Report(Outcome.SUPERSEDED, _reason(error))
        except PermanentError as error:
            return Report(Outcome.REJECTED, _reason(error))
        except TransientError as error:
            return Report(Outcome.TRANSIENT, _reason(error))

    def _convert(self, item: WorkItem) -> Report:
        version = item.version_id if item.version_id != "null" else None
        etag = item.etag or self._store.stat(item.bucket, item.key, version_id=version).etag
        prefix = result_prefix(item.key, etag, PIPELINE_VERSION)
        target = BucketTarget(self._store, self._run.bucket, prefix)
        if target.read(MANIFEST) is not None:
            found, reason = self._still_there(item, version), "its results were there already"
        else:
            with workspace() as folder:
                found, reason = self._make(item, etag, version, folder, target)
        if found and found.etag == etag:
            update_latest(self._store, self._run.bucket, prefix + MANIFEST, _source(found))
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
        path, results = folder / "source", folder / "results"
        results.mkdir()
        with path.open("xb") as file:
            found = self._store.download(item.bucket, item.key, file, etag=etag, version_id=version)
        reach("recordings.downloaded", item.key)
        source = _source(found)
        with self._decoding:
            conversion = convert(path, results, processed_at=item.received or utc_text(source.modified))
        path.unlink()
        _, created = publish(conversion, source, target, self._uploads)
        return found, "" if created else "another process was quicker"

    def _report(self, item: WorkItem, report: Report) -> None:
        key = report_key(self._run.run_id, item.id, self._run.attempt)
        try:
            self._store.put(self._run.bucket, key, report.to_json(), content_type="application/json")
        except ObjectNotFound as error:
            raise no_bucket(self._run.bucket) from error


def _source(found: ObjectInfo) -> Source:
    assert found.modified is not None
    return Source(found.bucket, found.key, found.etag, found.size, found.modified)


def _reason(error: Exception) -> str:
    return str(error)[:MAX_REASON]
