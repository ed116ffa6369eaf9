"""How quickly an event is acknowledged: the webhook alone, and side by side with triggering inside the request."""

import os
import statistics
import time
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import text

from fieldpipe.events.database import transaction
from tests.bench.airflow import DAG
from tests.bench.alone import seed_receiver, webhook_alone
from tests.bench.load import Load, Target, event_requests, send
from tests.bench.progress import say
from tests.bench.stack import BenchStack
from tests.bench.table import Figure

CONNECTIONS = 16
WARM_UP = 500  # events
MEDIAN_GOAL = 2.5  # milliseconds
RATE_GOAL = 1200.0  # events per second
RATIO_GOAL = 20.0
SETTLE_SECONDS = 600.0

_OPEN = text("SELECT count(*) FROM objects WHERE state IN ('received', 'claimed', 'dispatched')")


@dataclass(frozen=True)
class Size:
    """How much is done. Events per round, and events per turn of the comparison."""

    rounds: int
    serial: int
    parallel: int
    turns: int
    ours: int
    seed: int


FULL = Size(rounds=7, serial=1000, parallel=6000, turns=3, ours=2000, seed=40)
QUICK = Size(rounds=3, serial=300, parallel=2000, turns=2, ours=1500, seed=30)


def alone(size: Size) -> list[Figure]:
    """The webhook with PostgreSQL and nothing else; load generator, workers and database share the cores."""
    medians, rates, slowest = [], [], []
    with webhook_alone() as target:
        _send(target, WARM_UP, CONNECTIONS)
        for number in range(1, size.rounds + 1):
            serial, parallel = _send(target, size.serial, 1), _send(target, size.parallel, CONNECTIONS)
            medians.append(statistics.median(serial.latencies) * 1000)
            rates.append(parallel.rate)
            slowest.append(statistics.quantiles(parallel.latencies, n=100)[98] * 1000)
            say(f"round {number}: {medians[-1]:.2f} ms serial, {rates[-1]:.0f} events/s, load {os.getloadavg()[0]:.1f}")
    median, rate = statistics.median(medians), statistics.median(rates)
    spread = f"{min(medians):.2f}-{max(medians):.2f}", f"{min(rates):.0f}-{max(rates):.0f}"
    return [
        Figure("acknowledged, serial, median", f"{median:.2f} ms ({spread[0]})", "<= 2.5 ms", median <= MEDIAN_GOAL),
        Figure(
            f"acknowledged, {CONNECTIONS} connections", f"{rate:.0f}/s ({spread[1]})", ">= 1,200/s", rate >= RATE_GOAL
        ),
        Figure("  99 % of those within", f"{statistics.median(slowest):.0f} ms"),
    ]


def side_by_side(stack: BenchStack, size: Size) -> list[Figure]:
    """Ours and the other design take turns on the same stack. Every event leads to a run of the same DAG.

    The objects do not exist: runs find that out quickly, but they do run, as they would; each turn waits for the last.
    """
    ours, theirs = [], []
    with seed_receiver(stack.airflow_url, stack.airflow.token) as receiver:
        for number in range(1, size.turns + 1):
            ours.append(_send(stack.webhook, size.ours, CONNECTIONS).rate)
            _await_ledger(stack)
            before = stack.airflow.runs(DAG)
            seconds = _send(receiver, size.seed, CONNECTIONS, expect=200).seconds
            theirs.append((stack.airflow.runs(DAG) - before) / seconds)  # it says "success" for failures too
            stack.airflow.await_idle(DAG, SETTLE_SECONDS)
            say(f"turn {number}: ours {ours[-1]:.0f}/s, triggering inside the request {theirs[-1]:.1f}/s")
    ratio = statistics.median(ours) / statistics.median(theirs)
    return [
        Figure("  beside Airflow: ours", f"{statistics.median(ours):.0f}/s"),
        Figure("  beside Airflow: trigger inside the request", f"{statistics.median(theirs):.1f}/s"),
        Figure("ours against that design", f"{ratio:.0f} x", ">= 20 x", ratio >= RATIO_GOAL),
    ]


def _await_ledger(stack: BenchStack) -> None:
    """Wait until nothing is open. Raises TimeoutError."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        with transaction(stack.ledger) as connection:
            waiting = connection.execute(_OPEN).scalar_one()
        if not waiting:
            return
        time.sleep(0.5)
    raise TimeoutError(f"{waiting} events still wait for their end after {SETTLE_SECONDS:.0f} s")


def _send(target: Target, events: int, connections: int, expect: int = 202) -> Load:
    """Events about objects that nobody has heard of. Raises RuntimeError when an answer is wrong."""
    batch = uuid4().hex
    requests = event_requests(target, "raw-data", [f"events/{batch}/{number:06}.mcap" for number in range(events)])
    load = send(target, requests, connections=connections, expect=expect)
    if load.wrong:
        raise RuntimeError(f"{len(load.wrong)} of {events} answers were wrong, such as {load.wrong[0]!r}")
    return load
