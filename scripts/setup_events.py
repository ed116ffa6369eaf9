"""Make the store's notification rules exactly ours. Does nothing where they are right already."""

import argparse

from fieldpipe import errors, logs
from fieldpipe.events.routes import load_routes
from fieldpipe.events.setup import ensure_rules
from fieldpipe.settings import BucketSettings, RouteSettings, StoreSettings, WebhookSettings, read
from fieldpipe.store import ObjectStore


def main() -> int:
    argparse.ArgumentParser(prog="scripts.setup_events", description=__doc__).parse_args()
    logs.configure("event-setup")
    store, webhook, route, bucket = read(StoreSettings, WebhookSettings, RouteSettings, BucketSettings)
    routes = load_routes(route.file, output_bucket=bucket.processed_bucket)
    for name, outcome in ensure_rules(ObjectStore.connect(store), routes, webhook.arn).items():
        print(f"{name}: {outcome}")
    return 0


if __name__ == "__main__":
    errors.run(main)
