"""The reports that the pods of a run have left in the bucket of results."""

from fieldpipe import logs
from fieldpipe.errors import PermanentError
from fieldpipe.handover import Outcome, Report, report_prefix
from fieldpipe.store import ObjectStore

_LIMIT = 64 * 1024  # bytes of a report

log = logs.get(__name__)


def read_reports(store: ObjectStore, bucket: str, run_id: str) -> dict[int, Report]:
    """The last word on each object of a run. What no pod of ours wrote is as good as absent.

    Raises StoreUnavailable.
    """
    prefix = report_prefix(run_id)
    reports = {}
    for object_id, key in last_tries(prefix, [found.key for found in store.list(bucket, prefix)]).items():
        try:
            content, _ = store.get(bucket, key, limit=_LIMIT)
            report = Report.from_json(content)
        except PermanentError as error:
            log.warning("report_unreadable", key=key, error=str(error))
            continue
        if report.outcome is Outcome.CONVERTED and not report.manifest:
            log.warning("report_without_manifest", key=key)
            continue
        reports[object_id] = report
    return reports


def last_tries(prefix: str, keys: list[str]) -> dict[int, str]:
    """The key of the highest try per object among `<prefix><object id>.<try>.json`; other keys are passed over."""
    best: dict[int, tuple[int, str]] = {}
    for key in keys:
        object_id, _, rest = key.removeprefix(prefix).partition(".")
        attempt, _, suffix = rest.partition(".")
        if suffix == "json" and object_id.isdecimal() and attempt.isdecimal():
            best[int(object_id)] = max(best.get(int(object_id), (0, "")), (int(attempt), key))
    return {object_id: key for object_id, (_, key) in best.items()}
