"""Mirror the devices and pods of etcd into SQL as they change, until SIGTERM or Ctrl-C.

Needs MY_ETCD_HOST, and MY_MYSQL_HOST or SENTINEL_URL (sqlite:///sentinel.db for a try). Makes the tables it needs. What
is inserted, replaced, deleted or malformed is a line of the log. Exit codes: 0 ended; 65 settings that a person has to
mend; while etcd or the database are away it waits.
"""

import argparse
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

from fieldpipe import errors, logs
from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.mirror import Mirror
from fieldpipe.sentinel.schema import connect, migrate
from fieldpipe.sentinel.watch import Watcher
from fieldpipe.settings import EtcdSettings, IntervalSettings, MysqlSettings, SentinelSettings, read

PATIENCE_SECONDS = 600.0  # for a database that is still starting; then the pod is started anew


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alive", type=Path, metavar="FILE", help="touch this file while it works, for a probe")
    arguments = parser.parse_args()
    logs.configure("watch_sentinel")
    sys.setswitchinterval(0.0005)  # else the thread that reads etcd waits 5 ms for each message while rows are made
    etcd_settings, mysql, sentinel, interval = read(EtcdSettings, MysqlSettings, SentinelSettings, IntervalSettings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    engine = connect(sentinel, mysql)
    with Etcd(etcd_settings) as etcd:
        errors.patiently(lambda: migrate(engine), PATIENCE_SECONDS)
        seconds = min(interval.device_interval, interval.pod_interval)
        alive = arguments.alive.touch if arguments.alive else lambda: None
        mirror = Mirror(engine, sentinel.deletes, timedelta(days=sentinel.history_days))
        Watcher(etcd, mirror, seconds, alive).run(stop)
    return 0


if __name__ == "__main__":
    errors.run(main)
