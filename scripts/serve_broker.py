"""Take readings of Kraken Collectors, keep them, and deliver each to its sinks, until SIGTERM or Ctrl-C.

Which sinks there are, their variables say (KRAKENB_REDIS_HOST, KRAKENB_BUCKET ...; see .env.example); a sink without
its variable is off, and a line says so. A changed file of routes counts within seconds, at once with SIGHUP. Exit
codes: 0 ended; 65 settings that a person has to mend, all of them named.
"""

import argparse
import asyncio
import gc
import logging
import os
import signal

from fieldpipe import errors, logs
from fieldpipe.broker.entrances.registry import open_entrances
from fieldpipe.broker.handlers.asking import Handlers
from fieldpipe.broker.handlers.loading import load
from fieldpipe.broker.routing import Routes
from fieldpipe.broker.running import Broker
from fieldpipe.broker.settings import BrokerSettings
from fieldpipe.broker.sinks.registry import open_sinks
from fieldpipe.settings import read

ROUTES_SECONDS = 2.0  # between two looks at the file


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    (settings,) = read(BrokerSettings)
    logs.configure("broker", level=logging.DEBUG if settings.debug else logging.INFO)
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_serve(settings))
    return 0


def _loop() -> asyncio.AbstractEventLoop:
    """That of libuv, where there is one for the machine: more readings in the same time."""
    try:
        import uvloop  # not for every machine
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(settings: BrokerSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sinks = open_sinks(os.environ)
    routes = Routes.load(settings.routes, [sink.name for sink in sinks])
    loop.add_signal_handler(signal.SIGHUP, routes.reload)
    handlers = Handlers(load(settings.handlers), settings.deadline_seconds)
    following = asyncio.create_task(_follow(routes))
    try:
        broker = Broker(settings, sinks, routes.sinks_for, handlers)
        gc.freeze()  # what is there by now stays: nobody has to wait while it is looked through again and again
        gc.set_threshold(10_000)  # of what a reading leaves there is little that takes a look
        await broker.run(stop, open_entrances(os.environ, broker.take))
    finally:
        following.cancel()
        handlers.close()


async def _follow(routes: Routes) -> None:
    while True:
        await asyncio.sleep(ROUTES_SECONDS)
        routes.reload()


if __name__ == "__main__":
    errors.run(main)
