"""What every pod of ours does with a run's objects: attempt each, report on each, exit with what the worst deserves.

A script hands in what is to be done with one object; errors become outcomes, outcomes reports, reports an exit code.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fieldpipe import logs
from fieldpipe.crashpoints import reach
from fieldpipe.errors import (
    EXIT_BUG,
    EXIT_PERMANENT,
    EXIT_TRANSIENT,
    ConfigurationError,
    PermanentError,
    TransientError,
)
from fieldpipe.handover import (
    RUN_VARIABLE,
    TRY_VARIABLE,
    WORK_VARIABLE,
    Outcome,
    Report,
    WorkItem,
    decode_work,
    report_key,
)
from fieldpipe.settings import BucketSettings, StoreSettings, read
from fieldpipe.store import ObjectChanged, ObjectNotFound, ObjectStore

MAX_REASON = 1000  # characters
_EXIT_CODES = {Outcome.REJECTED: EXIT_PERMANENT, Outcome.TRANSIENT: EXIT_TRANSIENT}
_WORST_FIRST = (EXIT_BUG, EXIT_TRANSIENT, EXIT_PERMANENT)

log = logs.get(__name__)

Handle = Callable[[WorkItem], Report]
"""Does the work for one object. Raises ObjectNotFound, ObjectChanged, PermanentError or TransientError instead of
reporting them."""


@dataclass(frozen=True, slots=True)
class Run:
    """Which run this is and where its results go. `attempt` is the task's try number."""

    store: ObjectStore
    bucket: str
    run_id: str
    attempt: int


def assignment() -> tuple[list[WorkItem], Run]:
    """The pod's objects and its run, from the environment. Raises ConfigurationError."""
    missing = [name for name in (WORK_VARIABLE, RUN_VARIABLE, TRY_VARIABLE) if not os.environ.get(name)]
    if missing:
        raise ConfigurationError(f"a pod's run needs {', '.join(missing)} in the environment")
    store, buckets = read(StoreSettings, BucketSettings)
    client = ObjectStore.connect(store, connections=16)
    run = Run(client, buckets.processed_bucket, os.environ[RUN_VARIABLE], int(os.environ[TRY_VARIABLE]))
    return decode_work(os.environ[WORK_VARIABLE]), run


def attempt_each(items: list[WorkItem], run: Run, handle: Handle, *, at_once: int = 4) -> int:
    """Handle every object and report on each; returns the exit code of the worst (bug, transient, permanent, 0).

    Every second try begins at the other end: an object that kills its pod stands in the way of those behind it, and
    each of them would cost a run of its own.
    """
    ordered = items if run.attempt % 2 else items[::-1]
    with ThreadPoolExecutor(at_once) as pool:
        codes = set(pool.map(lambda item: _attempt(item, run, handle), ordered))
    return next((code for code in _WORST_FIRST if code in codes), 0)


def _attempt(item: WorkItem, run: Run, handle: Handle) -> int:
    """A bug costs this object its report, and no other object anything."""
    began = time.monotonic()
    try:
        report = _outcome(item, handle)
        reach("work.before_report", item.key)
        key = report_key(run.run_id, item.id, run.attempt)
        run.store.put(run.bucket, key, report.to_json(), content_type="application/json")
        reach("work.reported", item.key)
    except TransientError as error:
        log.warning("report_failed", bucket=item.bucket, key=item.key, reason=str(error))
        return EXIT_TRANSIENT
    except Exception:
        log.exception("object_crashed", bucket=item.bucket, key=item.key)
        return EXIT_BUG
    seconds = round(time.monotonic() - began, 3)
    log.info(f"object_{report.outcome}", bucket=item.bucket, key=item.key, reason=report.reason, seconds=seconds)
    return _EXIT_CODES.get(report.outcome, 0)


def _outcome(item: WorkItem, handle: Handle) -> Report:
    try:
        return handle(item)
    except ObjectNotFound as error:
        return Report(Outcome.GONE, _reason(error))
    except ObjectChanged as error:
        return Report(Outcome.SUPERSEDED, _reason(error))
    except PermanentError as error:
        return Report(Outcome.REJECTED, _reason(error))
    except TransientError as error:
        return Report(Outcome.TRANSIENT, _reason(error))


def _reason(error: Exception) -> str:
    return str(error)[:MAX_REASON]
