"""Compare the mirror with etcd at one revision, and report what differs.

    python -m scripts.audit_sentinel             # the report lies in processed-data/sentinel/, as CSV and JSON
    python -m scripts.audit_sentinel --repair    # and rows that differ are written again, and compared once more
    python -m scripts.audit_sentinel --print     # to the terminal only; needs no object store

Also told, and no failure: devices that run and have not been heard of, and pods whose device nobody knows. Exit codes:
0; 65 more than SENTINEL_DRIFT rows differ (at the end, with --repair), the last line says how many of which kind;
75 etcd, the database or the store is away, or the mirror is behind.
"""

import argparse
import gc
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from fieldpipe import errors, logs
from fieldpipe.errors import PermanentError
from fieldpipe.sentinel.audit import Audit, audit
from fieldpipe.sentinel.checks import Oddity, oddities
from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.mirror import Mirror
from fieldpipe.sentinel.report import counts, report_key, to_csv, to_json
from fieldpipe.sentinel.schema import connect
from fieldpipe.settings import BucketSettings, EtcdSettings, MysqlSettings, SentinelSettings, StoreSettings, read
from fieldpipe.store import ObjectStore

log = logs.get(__name__)


class Drifted(PermanentError):
    """The tables do not say what etcd says."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--repair", action=argparse.BooleanOptionalAction, default=False, help="write rows that differ again"
    )
    parser.add_argument("--print", action="store_true", help="the table to the terminal, instead of the store")
    arguments = parser.parse_args()
    logs.configure("audit_sentinel")
    gc.disable()  # it holds every row, and ends soon: to look through them again and again takes a quarter of the time
    etcd_settings, mysql, sentinel = read(EtcdSettings, MysqlSettings, SentinelSettings)
    moment = datetime.now(UTC)
    engine = connect(sentinel, mysql)
    with Etcd(etcd_settings) as etcd:
        found = audit(engine, etcd, sentinel.deletes)
        odd = oddities(found.expected, moment, sentinel.zone, timedelta(seconds=sentinel.heartbeat_seconds))
        if arguments.print:
            where = "the table above"
            sys.stdout.write(to_csv(found, odd).decode())
        else:
            where = _store(found, odd, moment)
        rows = len(found.expected.rows)
        log.info("sentinel_audited", revision=found.at.revision, rows=rows, report=where, **counts(found, odd))
        if arguments.repair and found.drift:
            repairable = [drift.name for drift in found.drift if drift.found != "corrupt"]
            Mirror(engine, sentinel.deletes).repair(repairable)
            log.warning("sentinel_repaired", rows=len(repairable))
            found = audit(engine, etcd, sentinel.deletes)
    if len(found.drift) > sentinel.drift:
        raise Drifted(_verdict(found, sentinel.drift, where))
    return 0


def _store(found: Audit, odd: Sequence[Oddity], moment: datetime) -> str:
    """Write the report; where it lies."""
    (settings, buckets) = read(StoreSettings, BucketSettings)
    store, key = ObjectStore.connect(settings), report_key(found, moment)
    store.put(buckets.processed_bucket, f"{key}.csv", to_csv(found, odd), content_type="text/csv")
    store.put(buckets.processed_bucket, f"{key}.json", to_json(found, odd, moment), content_type="application/json")
    return f"{buckets.processed_bucket}/{key}.csv"


def _verdict(found: Audit, tolerated: int, where: str) -> str:
    kinds = Counter(drift.found for drift in found.drift)
    counts = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    text = f"not as etcd says at revision {found.at.revision}: {counts} (SENTINEL_DRIFT allows {tolerated})."
    if kinds.total() > kinds["corrupt"]:
        text += " A run with repair writes such rows again."
    if kinds["corrupt"]:
        text += " What is corrupt waits for who wrote it."
    return f"{text} Report: {where}"


if __name__ == "__main__":
    errors.run(main)
