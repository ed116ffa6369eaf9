"""What the broker tells Prometheus. For each sink, in every answer: received = delivered + dead + queued."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fieldpipe.broker.delivery import Delivery
from fieldpipe.broker.handlers.lane import Counts
from fieldpipe.broker.spool import Spool
from fieldpipe.errors import ConfigurationError, TransientError


class Metrics:
    """The metrics of one broker."""

    def __init__(
        self, spool: Spool, deliveries: Sequence[Delivery], handler_counts: Callable[[], Mapping[str, Counts]]
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_SpoolCollector(spool, deliveries))
        self._registry.register(_HandlerCollector(handler_counts))
        calls = Counter("broker_calls", "Calls over gRPC, by answer.", ["code"], registry=self._registry)
        self._call = cache(calls.labels)

    def answered(self, code: str) -> None:
        self._call(code).inc()

    def serve(self, address: str) -> Callable[[], None]:
        """Answer GET /metrics in a thread; returns what ends it. Raises ConfigurationError."""
        host, _, port = address.rpartition(":")
        try:
            server, thread = start_http_server(int(port), host.strip("[]"), self._registry)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"KRAKENB_METRICS_HOST: cannot listen on {address!r}: {error}") from error

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return end


class _SpoolCollector(Collector):
    def __init__(self, spool: Spool, deliveries: Sequence[Delivery]) -> None:
        self._spool = spool
        self._deliveries = deliveries

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the spool."""
        return ()

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("broker_spool_up", "Whether the spool can be read.")
        try:
            counts = self._spool.counts()
        except TransientError:
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        size = GaugeMetricFamily("broker_spool_bytes", "Bytes of readings that are kept.", self._spool.size)
        received = CounterMetricFamily("broker_received", "Readings that went to a sink.", labels=["sink"])
        delivered = CounterMetricFamily("broker_delivered", "Readings that a sink has.", labels=["sink"])
        dead = GaugeMetricFamily("broker_dead", "Readings that a sink will not take.", labels=["sink"])
        queued = GaugeMetricFamily("broker_queued", "Readings that wait for a sink.", labels=["sink"])
        for sink, count in counts.items():
            received.add_metric([sink], count.received)
            delivered.add_metric([sink], count.delivered)
            dead.add_metric([sink], count.dead)
            queued.add_metric([sink], count.queued)
        failures = GaugeMetricFamily("broker_sink_failures", "Attempts since a sink last worked.", labels=["sink"])
        for delivery in self._deliveries:
            failures.add_metric([delivery.sink.name], delivery.failures)
        return [up, size, received, delivered, dead, queued, failures]


class _HandlerCollector(Collector):
    def __init__(self, counts: Callable[[], Mapping[str, Counts]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        readings = CounterMetricFamily(
            "broker_handler_readings", "What a handler did with readings.", labels=["handler", "what"]
        )
        out = GaugeMetricFamily("broker_handler_out", "1 for a handler that is left out.", labels=["handler"])
        for name, counts in self._counts().items():
            for what in ("asked", "failed", "late", "skipped"):
                readings.add_metric([name, what], getattr(counts, what))
            out.add_metric([name], counts.out)
        return [readings, out]
