"""Compare the store with the ledger and announce to the webhook what the ledger has not seen.

Once (a CronJob), also checking the store's set-up (buckets, lifecycle, notification rules), the results of finished
objects and what may be forgotten; or, with --watch, all the time, with those checks once a day.
"""

import argparse
import signal
import threading
import time
from collections.abc import Callable, Sequence

from fieldpipe import errors, logs
from fieldpipe.events import database
from fieldpipe.events.announce import Announcer
from fieldpipe.events.audit import audit, forget
from fieldpipe.events.reconcile import Reconciler
from fieldpipe.events.routes import load_routes
from fieldpipe.events.setup import set_up
from fieldpipe.settings import BucketSettings, LedgerSettings, RouteSettings, StoreSettings, WebhookSettings, read
from fieldpipe.store import ObjectStore

DAY = 24 * 3600.0

log = logs.get(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts.sync_events", description=__doc__)
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="keep running, at least SECONDS between passes")
    parser.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="without --watch: how long to wait for others"
    )
    arguments = parser.parse_args()
    logs.configure("event-sync")
    store_settings, webhook, ledger, route = read(StoreSettings, WebhookSettings, LedgerSettings, RouteSettings)
    (bucket,) = read(BucketSettings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    store = ObjectStore.connect(store_settings)
    engine = database.connect(ledger, process="event-sync")
    routes = load_routes(route.file, output_bucket=bucket.processed_bucket)
    reconciler = Reconciler(engine, store, routes, Announcer(webhook, pause=stop.wait))

    def check_set_up() -> None:
        outcomes = set_up(store, routes, bucket, webhook.arn)
        log.info("set_up_checked", outcomes={name: str(outcome) for name, outcome in outcomes.items()})

    def look_back() -> None:
        missing = audit(engine, store, bucket.processed_bucket)
        log.info("results_checked", missing=missing, forgotten=dict(forget(engine)))

    def once() -> None:
        check_set_up()  # before the listing, so that nothing falls between the two
        log.info("objects_compared", **reconciler.sync())
        look_back()

    if arguments.watch is None:
        errors.patiently(once, arguments.wait)
    else:
        reconciler.watch(arguments.watch, stop, Daily([check_set_up, look_back]))
    return 0


class Daily:
    """Does things when it is called for the first time, and then once a day."""

    def __init__(self, actions: Sequence[Callable[[], None]]) -> None:
        self._actions = actions
        self._next = 0.0

    def __call__(self) -> None:
        if time.monotonic() >= self._next:
            for action in self._actions:
                action()
            self._next = time.monotonic() + DAY


if __name__ == "__main__":
    errors.run(main)
