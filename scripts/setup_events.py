"""Make the store ready for events: its buckets, how long things stay in them, and its notification rules.

Does nothing where all is right already, so it may run at any time.
"""

import argparse

from fieldpipe import errors, logs
from fieldpipe.events.routes import load_routes
from fieldpipe.events.setup import set_up
from fieldpipe.settings import BucketSettings, RouteSettings, StoreSettings, WebhookSettings, read
from fieldpipe.store import ObjectStore


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts.setup_events", description=__doc__)
    parser.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="how long to wait for the store")
    parser.add_argument("--create", metavar="BUCKET", help="make this bucket too, which is not ours: for development")
    arguments = parser.parse_args()
    logs.configure("event-setup")
    settings, webhook, route, buckets = read(StoreSettings, WebhookSettings, RouteSettings, BucketSettings)
    routes = load_routes(route.file, output_bucket=buckets.processed_bucket)
    store = ObjectStore.connect(settings)
    if arguments.create:
        errors.patiently(lambda: store.ensure_bucket(arguments.create), arguments.wait)
    outcomes = errors.patiently(lambda: set_up(store, routes, buckets, webhook.arn), arguments.wait)
    for name, outcome in outcomes.items():
        print(f"{name}: {outcome}")
    return 0


if __name__ == "__main__":
    errors.run(main)
