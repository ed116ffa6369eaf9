"""What the webhook tells Prometheus: its own counters, and what waits in the ledger.

Several worker processes share the counters through files in PROMETHEUS_MULTIPROC_DIR, which gunicorn.conf.py sets;
what waits is asked from the ledger, which is the same for all.
"""

import os
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from fieldpipe.errors import TransientError
from fieldpipe.events.queries import Backlog
from fieldpipe.events.receive import LOOP_GUARD, Answer

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds


class Metrics:
    """The metrics of one webhook. `read_backlog` may raise TransientError: then only `fieldpipe_ledger_up` is said."""

    def __init__(self, read_backlog: Callable[[], Backlog]) -> None:
        self._registry = CollectorRegistry()
        self._ledger = _LedgerCollector(read_backlog)
        events = Counter("fieldpipe_events", "Events, by answer.", ["status"], registry=self._registry)
        self._events = {status: events.labels(status) for status in ("recorded", "duplicate", "ignored", "dead")}
        self._loop_guard = Counter("fieldpipe_loop_guard", "Events about our own output.", registry=self._registry)
        self._refused = Counter("fieldpipe_refused", "Requests not taken.", ["code"], registry=self._registry)
        self._ack = Histogram(
            "fieldpipe_ack_seconds",
            "From request to answer, commit included.",
            buckets=BUCKETS,
            registry=self._registry,
        )

    def answered(self, answers: list[Answer], seconds: float) -> None:
        self._ack.observe(seconds)
        for answer in answers:
            self._events[answer.status].inc()
            if answer.reason is LOOP_GUARD:
                self._loop_guard.inc()

    def refused(self, code: int) -> None:
        self._refused.labels(str(code)).inc()

    def render(self) -> bytes:
        """Prometheus' text format."""
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # prometheus_client itself decides by this variable
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        ledger = CollectorRegistry()
        ledger.register(self._ledger)
        return generate_latest(registry) + generate_latest(ledger)


class _LedgerCollector(Collector):
    def __init__(self, read_backlog: Callable[[], Backlog]) -> None:
        self._read_backlog = read_backlog

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the ledger."""
        return ()

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("fieldpipe_ledger_up", "Whether the ledger answers.")
        try:
            backlog = self._read_backlog()
        except TransientError:
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return [up, *_families(backlog)]


def _families(backlog: Backlog) -> list[Metric]:
    objects = GaugeMetricFamily("fieldpipe_objects", "Rows: open and dead.", labels=["route", "state"])
    oldest = GaugeMetricFamily("fieldpipe_oldest_waiting_seconds", "Age of the oldest open row.", labels=["route"])
    runs = GaugeMetricFamily("fieldpipe_runs_in_flight", "Runs in flight.", labels=["route"])
    held = GaugeMetricFamily("fieldpipe_route_held", "1 for a route that starts nothing.", labels=["route", "reason"])
    for name, route in backlog.routes.items():
        for state in ("unresolved", "received", "claimed", "dispatched", "dead"):
            objects.add_metric([name, state], route.rows.get(state, 0))
        oldest.add_metric([name], route.oldest)
        runs.add_metric([name], route.runs)
        if route.held:
            held.add_metric([name, route.held], 1)
    rejected = GaugeMetricFamily("fieldpipe_rejected_bodies", "Bodies that can never become rows.")
    rejected.add_metric([], backlog.rejected)
    missing = GaugeMetricFamily("fieldpipe_results_missing", "Results that vanished from the bucket.")
    missing.add_metric([], backlog.missing)
    return [objects, oldest, runs, held, rejected, missing]
