"""One broker: everything opened in the order that readings go, run until it is told to end, and closed again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from fieldpipe import logs
from fieldpipe.broker import service
from fieldpipe.broker.delivery import Delivery
from fieldpipe.broker.entrances.entrance import Entrance
from fieldpipe.broker.intake import Intake
from fieldpipe.broker.metrics import Metrics
from fieldpipe.broker.reading import Reading
from fieldpipe.broker.service import GRACE_SECONDS, Handlers, Service
from fieldpipe.broker.settings import BrokerSettings
from fieldpipe.broker.sinks.sink import Sink
from fieldpipe.broker.spool import Spool
from fieldpipe.errors import TransientError

PATIENCE_SECONDS = 10.0  # with a sink that is in the middle of a call when we end; its readings stay
EXPIRY_SECONDS = 60.0  # between two looks for readings that are too old

log = logs.get(__name__)


class Broker:
    """`sinks_for` says which of the sinks a reading goes to. Raises ConfigurationError when another has its spool."""

    def __init__(
        self,
        settings: BrokerSettings,
        sinks: Sequence[Sink],
        sinks_for: Callable[[Reading], Sequence[str]],
        handlers: Handlers,
    ) -> None:
        self._settings = settings
        self._spool = Spool(settings.spool, settings.spool_bytes)
        self._ends = threading.Event()
        self._deliveries = [Delivery(sink, self._spool, self._ends) for sink in sinks]
        self._metrics = Metrics(self._spool, self._deliveries, handlers.counts)
        token = settings.token.get_secret_value() if settings.token else None
        self._service = Service(Intake(self._spool, sinks_for), handlers, token, self._metrics.answered)

    @property
    def take(self) -> Callable[[Reading], Awaitable[Reading]]:
        """What ways in beside gRPC call."""
        return self._service.take

    async def run(self, stop: asyncio.Event, entrances: Sequence[Entrance] = ()) -> None:
        """Serve until `stop` is set. Raises ConfigurationError."""
        async with AsyncExitStack() as closing:
            closing.callback(self._spool.close)
            closing.callback(self._end)
            for delivery in self._deliveries:
                delivery.start()
            if self._settings.metrics_host:
                closing.callback(self._metrics.serve(self._settings.metrics_host))
            listener = service.listen(self._service, self._settings)
            await listener.server.start()
            closing.push_async_callback(listener.server.stop, GRACE_SECONDS)
            for entrance in entrances:
                await entrance.start()
                closing.push_async_callback(entrance.stop)
            await service.set_serving(listener, serving=True)
            self._tell(listener.address)
            while not stop.is_set():
                await asyncio.to_thread(self._expire)
                await _first(stop, EXPIRY_SECONDS)
            await service.set_serving(listener, serving=False)

    def _end(self) -> None:
        self._ends.set()
        self._spool.wake()
        deadline = time.monotonic() + PATIENCE_SECONDS
        for delivery in self._deliveries:
            if not delivery.join(max(deadline - time.monotonic(), 0)):
                log.warning("sink_hangs", sink=delivery.sink.name, what="left behind; its readings stay in the spool")

    def _expire(self) -> None:
        before = time.time_ns() - int(self._settings.spool_days * 86400 * 1e9)
        reason = f"not delivered within KRAKENB_SPOOL_DAYS={self._settings.spool_days:g}"
        try:
            while found := self._spool.expire(before, reason):
                log.error("readings_expired", readings=found, reason=reason)
        except TransientError as error:
            log.warning("spool_waits", reason=str(error))

    def _tell(self, address: str) -> None:
        """Where it serves, and what a person may not have meant."""
        on = [delivery.sink.name for delivery in self._deliveries]
        log.info("broker_serves", grpc=address, sinks=on)
        if not on:
            log.warning("no_sinks", what="readings are shown to the handlers, and kept nowhere")
        for sink, count in self._spool.counts().items():
            if sink not in on and count.queued:
                log.warning("sink_off_has_readings", sink=sink, queued=count.queued)


async def _first(event: asyncio.Event, seconds: float) -> None:
    """Until it is set, or for so long."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
