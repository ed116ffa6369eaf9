"""Run a dispatcher until SIGTERM: `python -m scripts.dispatch_events`. Several may run at once."""

import argparse
import os
import secrets
import signal
import socket
import threading
from pathlib import Path

from fieldpipe import errors, logs
from fieldpipe.events import database
from fieldpipe.events.airflow import AirflowClient
from fieldpipe.events.dispatch import Dispatcher
from fieldpipe.events.ledger import Ledger
from fieldpipe.events.routes import load_routes
from fieldpipe.settings import (
    AirflowSettings,
    BucketSettings,
    DispatchSettings,
    LedgerSettings,
    RouteSettings,
    StoreSettings,
    read,
)
from fieldpipe.store import ObjectStore


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts.dispatch_events", description=__doc__)
    parser.add_argument("--alive", type=Path, metavar="FILE", help="touch FILE after every turn, for a liveness probe")
    arguments = parser.parse_args()
    logs.configure("dispatcher")
    airflow, store, ledger, route = read(AirflowSettings, StoreSettings, LedgerSettings, RouteSettings)
    bucket, dispatch = read(BucketSettings, DispatchSettings)
    engine = database.connect(ledger, process="dispatcher")
    owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    dispatcher = Dispatcher(
        engine=engine,
        ledger=Ledger(engine, owner, lease_seconds=dispatch.lease_seconds),
        airflow=AirflowClient(airflow),
        store=ObjectStore.connect(store),
        routes=load_routes(route.file, output_bucket=bucket.processed_bucket),
        output_bucket=bucket.processed_bucket,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    dispatcher.run(stop, arguments.alive.touch if arguments.alive else lambda: None)
    return 0


if __name__ == "__main__":
    errors.run(main)
