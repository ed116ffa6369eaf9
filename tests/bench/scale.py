"""One Celery worker against two, and against none: the same recordings through an embedded stack each.

    python -m tests.bench.scale             # about eight minutes on a quiet machine with two cores
    python -m tests.bench.scale --quick     # fewer recordings: a look, not a measurement

Two cores are all that these workers have together, so the table also says who took them.
"""

import argparse
import os
import signal
import statistics
import sys
import time
from dataclasses import dataclass

import psutil
from sqlalchemy import text

from fieldpipe import errors
from fieldpipe.events.database import transaction
from fieldpipe.local.celery_workers import CONCURRENCY, WORKERS
from fieldpipe.local.display import columns
from tests.bench.airflow import DAG
from tests.bench.burst import burst
from tests.bench.progress import say
from tests.bench.stack import BenchStack, embedded_stack
from tests.bench.table import EVENTS, Machine
from tests.bench.usage import Usage, usages

PACKAGES = (*EVENTS, "apache-airflow-providers-celery", "celery")
VARIANTS = (0, 1, 2)
WARM_UP = 10
SECONDS = 900.0  # longer than that, and a variant is given up
REST_SECONDS = 20.0

_DELAYS = text("SELECT EXTRACT(EPOCH FROM state_at - received_at)::float FROM objects WHERE starts_with(key, 'scale/')")


@dataclass(frozen=True)
class Variant:
    """What a stack with so many workers did."""

    workers: int
    seconds: float
    runs: int
    delays: list[float]  # of each recording: event in the ledger .. done in the ledger
    cpu: dict[str, float]  # by service: CPU seconds while the recordings went through
    others: float  # cores that were busy for nobody of the stack
    idle: dict[str, Usage]  # before the first recording


def main() -> int:
    """Measure and print the tables. Exit code 0 whatever they say."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer recordings")
    recordings = 50 if parser.parse_args().quick else 200
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is stopped
    machine = Machine.now()
    variants = [measure(workers, recordings) for workers in VARIANTS]
    print(f"\n{machine.describe(PACKAGES)}\n\n{speeds(variants, recordings)}\n\n{memory(variants[-1].idle)}")
    return 0


def measure(workers: int, recordings: int) -> Variant:
    """Start a stack, let it come to rest, send the recordings through it, stop it."""
    say(f"a stack with {workers} Celery workers")
    os.environ[WORKERS] = str(workers)
    with embedded_stack("scale.toml") as stack:
        burst(stack, "warm-up/", WARM_UP, SECONDS, probe=False)
        stack.airflow.await_idle(DAG)
        time.sleep(REST_SECONDS)
        before, busy = usages(stack), _busy()
        seen = burst(stack, "scale/", recordings, SECONDS, probe=False)
        spent, after = _busy() - busy, usages(stack)
        cpu = {name: usage.cpu - before[name].cpu for name, usage in after.items()}
        return Variant(
            workers,
            seen.seconds,
            seen.runs,
            _delays(stack),
            cpu,
            (spent - sum(cpu.values())) / seen.seconds,
            before,
        )


def speeds(variants: list[Variant], recordings: int) -> str:
    """The variants side by side."""
    services = sorted({name for variant in variants for name in variant.cpu})
    rows = [
        ("", *(f"{v.workers} x {CONCURRENCY} tasks" if v.workers else "scheduler's own 8" for v in variants)),
        (f"{recordings} recordings", *(f"{v.seconds:.1f} s" for v in variants)),
        ("runs", *(str(v.runs) for v in variants)),
        ("runs a second", *(f"{v.runs / v.seconds:.2f}" for v in variants)),
        ("event to done, median", *(f"{statistics.median(v.delays):.1f} s" for v in variants)),
        ("event to done, 95 %", *(f"{statistics.quantiles(v.delays, n=20)[18]:.1f} s" for v in variants)),
        ("cores busy for others", *(f"{v.others:.2f}" for v in variants)),
        ("cores busy for the stack", *(f"{sum(v.cpu.values()) / v.seconds:.2f}" for v in variants)),
        ("CPU seconds of the stack", *(f"{sum(v.cpu.values()):.1f}" for v in variants)),
        *((f"  {name}", *(f"{v.cpu[name]:.1f}" if name in v.cpu else "-" for v in variants)) for name in services),
    ]
    return columns(rows)


def memory(idle: dict[str, Usage]) -> str:
    """What each service takes at rest."""
    rows = [("at rest", "processes", "RSS MB", "PSS MB")]
    rows += [(name, str(u.processes), f"{u.resident:.0f}", f"{u.shared_out:.0f}") for name, u in idle.items()]
    rows.append(("sum", "", "", f"{sum(u.shared_out for u in idle.values()):.0f}"))
    return columns(rows)


def _delays(stack: BenchStack) -> list[float]:
    with transaction(stack.ledger) as connection:
        return list(connection.execute(_DELAYS).scalars())


def _busy() -> float:
    """Seconds that all cores together have worked since the machine was started."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq


if __name__ == "__main__":
    errors.run(main)
