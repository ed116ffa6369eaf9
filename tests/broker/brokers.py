"""Brokers for tests: in this process, with sinks and handlers that a test hands in."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import grpc

from fieldpipe.broker.handlers.lane import Counts
from fieldpipe.broker.reading import Reading, Reply
from fieldpipe.broker.running import Broker
from fieldpipe.broker.settings import BrokerSettings
from fieldpipe.broker.sinks.sink import Sink
from fieldpipe.local.ports import free_port
from tests.broker.broker_process import scrape
from tests.waiting import eventually


class Memory:
    """A sink that remembers. `fail` may raise what a sink raises, for the readings of a call."""

    settle_seconds = 0.0

    def __init__(self, name: str = "memory", at_once: int = 100) -> None:
        self.name = name
        self.at_once = at_once
        self.calls: list[list[Reading]] = []
        self.fail: Callable[[Sequence[Reading]], None] = lambda _: None

    @property
    def readings(self) -> list[Reading]:
        return [reading for call in self.calls for reading in call]

    def deliver(self, readings: Sequence[Reading]) -> None:
        self.fail(readings)
        self.calls.append(list(readings))

    def close(self) -> None:
        """Nothing is open."""


class Nobody:
    """Handlers: there are none."""

    async def ask(self, reading: Reading) -> Reply | None:
        return None

    def counts(self) -> Mapping[str, Counts]:
        return {}


class Running:
    """A broker that serves, in a thread with an event loop of its own."""

    def __init__(self, settings: BrokerSettings, sinks: Sequence[Sink], handlers: object = None) -> None:
        self.settings = settings
        self.broker = Broker(
            settings,
            sinks,
            lambda _: [sink.name for sink in sinks],
            handlers or Nobody(),  # type: ignore[arg-type]
        )
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Running:
        self._thread.start()
        eventually(self.listens, 30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the broker does not end"

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.settings.grpc_host, options=[("grpc.use_local_subchannel_pool", 1)])

    def metrics(self) -> dict[str, float]:
        return scrape(self.settings.metrics_host)

    def listens(self) -> bool:
        host, _, port = self.settings.grpc_host.rpartition(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def _run(self) -> None:
        self._loop.run_until_complete(self.broker.run(self._stop))
        self._loop.close()


def settings_for(folder: Path, **others: object) -> BrokerSettings:
    port = free_port(set())
    ports = {"grpc_host": f"127.0.0.1:{port}", "metrics_host": f"127.0.0.1:{free_port({port})}"}
    return BrokerSettings(spool=folder / "spool", **(ports | others))  # type: ignore[arg-type]


@contextmanager
def running(folder: Path, sinks: Sequence[Sink] = (), handlers: object = None, **others: object) -> Iterator[Running]:
    with Running(settings_for(folder, **others), sinks, handlers) as broker:
        yield broker
