"""Compare the mirror with etcd at one revision, and report what differs.

    python -m scripts.audit_sentinel             # the report lies in processed-data/sentinel/, as CSV and JSON
    python -m scripts.audit_sentinel --repair    # and rows that differ are written again
    python -m scripts.audit_sentinel --print     # to the terminal only; needs no object store

Also told, and no failure: devices that run and have not been heard of, and pods whose device nobody knows. Exit codes:
0; 65 more than SENTINEL_DRIFT rows differ; 75 etcd, the database or the store is away, or the mirror is behind.
"""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fieldpipe import errors, logs
from fieldpipe.errors import EXIT_PERMANENT, ConfigurationError
from fieldpipe.sentinel.audit import audit
from fieldpipe.sentinel.checks import oddities
from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.mirror import Mirror
from fieldpipe.sentinel.report import counts, report_key, to_csv, to_json
from fieldpipe.sentinel.schema import connect
from fieldpipe.settings import BucketSettings, EtcdSettings, MysqlSettings, SentinelSettings, StoreSettings, read
from fieldpipe.store import ObjectStore

log = logs.get(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repair", action="store_true", help="write rows that differ again, as etcd says")
    parser.add_argument("--print", action="store_true", help="the table to the terminal, instead of the store")
    arguments = parser.parse_args()
    logs.configure("audit_sentinel")
    etcd_settings, mysql, sentinel = read(EtcdSettings, MysqlSettings, SentinelSettings)
    zone, moment = _zone(sentinel.zone), datetime.now(UTC)
    engine = connect(sentinel, mysql)
    with Etcd(etcd_settings) as etcd:
        found = audit(engine, etcd, sentinel.deletes)
    odd = oddities(found.expected, moment, zone, timedelta(seconds=sentinel.heartbeat_seconds))
    if arguments.print:
        sys.stdout.write(to_csv(found, odd).decode())
    else:
        (store_settings, buckets) = read(StoreSettings, BucketSettings)
        store, key = ObjectStore.connect(store_settings), report_key(found, moment)
        store.put(buckets.processed_bucket, f"{key}.csv", to_csv(found, odd), content_type="text/csv")
        store.put(buckets.processed_bucket, f"{key}.json", to_json(found, odd, moment), content_type="application/json")
        log.info("report_written", bucket=buckets.processed_bucket, key=f"{key}.csv")
    log.info("sentinel_audited", revision=found.at.revision, rows=len(found.expected.rows), **counts(found, odd))
    if arguments.repair:
        Mirror(engine, sentinel.deletes).repair([drift.name for drift in found.drift if drift.found != "corrupt"])
    return EXIT_PERMANENT if len(found.drift) > sentinel.drift else 0


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(f"SENTINEL_ZONE: {name!r} is no time zone such as Asia/Tokyo") from error


if __name__ == "__main__":
    errors.run(main)
