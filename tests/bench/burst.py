"""A thousand recordings at once: how long until all are tables, and what the rest of Airflow notices of it."""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import text

from fieldpipe.events.database import transaction
from tests.bench.airflow import DAG, PROBE_DAG
from tests.bench.latency import recording
from tests.bench.progress import say
from tests.bench.stack import BenchStack

PUTS_AT_ONCE = 8
SAMPLE_SECONDS = 1.0
PROBE_PAUSE = 3.0  # seconds between two runs of the other DAG

_PROGRESS = text(
    """
    SELECT count(*) FILTER (WHERE state = 'done') AS done,
           count(*) FILTER (WHERE state IN ('dead', 'gone', 'superseded')) AS failed,
           EXTRACT(EPOCH FROM max(state_at))::float AS last
    FROM objects WHERE starts_with(key, :prefix)
    """
)
_RUNS = text("SELECT count(DISTINCT run_id) FROM objects WHERE starts_with(key, :prefix)")


@dataclass
class Burst:
    """What was seen. `seconds`: from the first put to the last object done, `put_seconds` of them for putting."""

    objects: int
    seconds: float = 0.0
    put_seconds: float = 0.0
    failed: int = 0
    runs: int = 0
    in_flight: list[int] = field(default_factory=list)
    start_delays: list[float] = field(default_factory=list)  # of the other DAG, while the burst lasted


def idle_start_delay(stack: BenchStack, runs: int) -> float:
    """Seconds that a run of the other DAG takes to start while nothing else happens (median)."""
    delays = []
    for _ in range(runs):
        delays.append(stack.airflow.start_delay(PROBE_DAG))
        stack.airflow.await_idle(PROBE_DAG)
        time.sleep(1.0)
    return statistics.median(delays)


def burst(stack: BenchStack, prefix: str, objects: int, limit_seconds: float, *, probe: bool) -> Burst:
    """Put so many recordings below a prefix at once and wait until all are through. Raises TimeoutError."""
    seen = Burst(objects)
    contents = [recording(seed, seconds=0.2) for seed in range(10)]
    with _watching(stack, seen, probe=probe):
        begin = time.time()
        _put(stack, [f"{prefix}{number:05}.mcap" for number in range(objects)], contents)
        seen.put_seconds = time.time() - begin
        seen.seconds = _await_all(stack, prefix, seen, limit_seconds) - begin
    with transaction(stack.ledger) as connection:
        seen.runs = connection.execute(_RUNS, {"prefix": prefix}).scalar_one()
    return seen


def _put(stack: BenchStack, keys: Sequence[str], contents: Sequence[bytes]) -> None:
    with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
        puts = [
            pool.submit(stack.store.put, "raw-data", key, contents[i % len(contents)]) for i, key in enumerate(keys)
        ]
    for put in puts:
        put.result()


def _await_all(stack: BenchStack, prefix: str, seen: Burst, limit_seconds: float) -> float:
    """When the last object was through (unix time)."""
    deadline = time.monotonic() + limit_seconds
    shown = -1
    while time.monotonic() < deadline:
        with transaction(stack.ledger) as connection:
            now = connection.execute(_PROGRESS, {"prefix": prefix}).one()
        if now.done * 10 // seen.objects != shown:
            shown = now.done * 10 // seen.objects
            say(f"{now.done} of {seen.objects} converted")
        if now.done + now.failed == seen.objects:
            seen.failed = now.failed
            return float(now.last)
        time.sleep(0.25)
    raise TimeoutError(f"{now.done} of {seen.objects} objects were converted within {limit_seconds:.0f} s")


@contextmanager
def _watching(stack: BenchStack, seen: Burst, *, probe: bool) -> Iterator[None]:
    """Count the runs in flight and, with `probe`, trigger the other DAG again and again, until the block ends."""
    stop = threading.Event()

    def count() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            seen.in_flight.append(stack.airflow.in_flight(DAG))

    def trigger() -> None:
        while probe and not stop.wait(PROBE_PAUSE):
            seen.start_delays.append(stack.airflow.start_delay(PROBE_DAG))

    with ThreadPoolExecutor(2) as pool:
        watchers = [pool.submit(count), pool.submit(trigger)]
        try:
            yield
        finally:
            stop.set()
    for watcher in watchers:
        watcher.result()
