"""titaniadb-sentinel's way and ours, on the same etcd, the same keys and the same MariaDB, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import SecretStr

from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.schema import connect, migrate
from fieldpipe.settings import MysqlSettings, SentinelSettings
from tests.bench.progress import say
from tests.bench.sentinel_field import Database, Field, Look, Watching, cpu
from tests.bench.sentinel_fleet import pod
from tests.bench.sentinel_lag import latencies, percentile
from tests.bench.table import Figure

PASS_SECONDS = 15.0  # of a pass over many rows that are watched
CHANGES = 100  # one after the other
NEVER = 86_400  # seconds between two passes

Start = Callable[[], Watching]


@dataclass(frozen=True)
class Way:
    """What one of the two does with a small fleet. `lags` in seconds."""

    lags: list[float]
    idle_cpu: float  # CPU seconds a minute while nothing changes: the process
    idle_database: float  # and the server
    rate: float  # changes per second, of many at once


def race_figures(field: Field, database: Database, fleet: int, seconds: float, burst: int) -> Iterator[Figure]:
    """First the many keys that are there, then a small fleet."""
    yield Figure("the original's way, MariaDB:", "")
    say(f"the original's pass over {field.keys:,} keys")
    rate = _pass(field, database)
    yield Figure(f"  one pass over {field.keys:,} keys", f"about {field.keys / rate:,.0f} s ({rate:,.0f} rows/s)")
    say(f"both ways with {fleet:,} keys")
    race = _Race(field, database, fleet, seconds, burst)
    ours = race.run(lambda: field.watch(database), lambda: field.watch(database))
    theirs = race.run(lambda: field.original(database), lambda: field.original(database, NEVER))
    yield _beside(
        f"  {fleet:,} keys, nothing changes: CPU s a minute, process + server",
        f"{ours.idle_cpu:.1f} + {ours.idle_database:.1f}",
        f"{theirs.idle_cpu:.1f} + {theirs.idle_database:.1f}",
    )
    yield _beside("  change to row, median and p99", _lag(ours.lags), _lag(theirs.lags))
    yield _beside(f"  {burst:,} changes at once, changes per second", f"{ours.rate:,.0f}", f"{theirs.rate:,.0f}")


def _pass(field: Field, database: Database) -> float:
    """Rows per second of a pass that begins with empty tables."""
    _make_tables(database)
    with field.original(database) as watching, Look(database) as look:
        watching.wait_for(lambda: look.rows() > 0)
        begin, before = time.monotonic(), look.rows()
        time.sleep(PASS_SECONDS)
        return (look.rows() - before) / (time.monotonic() - begin)


@dataclass(frozen=True)
class _Race:
    field: Field
    database: Database
    fleet: int
    seconds: float
    burst: int

    def run(self, start: Start, start_without_passes: Start) -> Way:
        """One of the two, from empty tables."""
        self.field.refill(self.fleet)
        _make_tables(self.database)
        with start() as watching, Look(self.database) as look:
            watching.wait_for(lambda: look.rows() >= self.fleet)
            before, server_before = cpu(watching.child.pid), self.database.cpu()
            time.sleep(self.seconds)
            idle, idle_server = cpu(watching.child.pid) - before, self.database.cpu() - server_before
            lags = latencies(self.field, self.database, watching, CHANGES)
        with start_without_passes() as watching, Look(self.database) as look:
            latencies(self.field, self.database, watching, 1)  # now it watches
            written = self.field.written(self.field.start_writer(self.burst))
            _await_last(self.field, watching, look)
            rate = self.burst / (time.monotonic() - min(written.sent))
        return Way(lags, 60 * idle / self.seconds, 60 * idle_server / self.seconds, rate)


def _await_last(field: Field, watching: Watching, look: Look) -> None:
    """A change that comes after all others stands in the tables."""
    key, value = pod("last", "edge-00000", "last")
    with Etcd(field.etcd.settings) as etcd:
        etcd.put(key, value)
    watching.wait_for(lambda: look.version("last") == "last")


def _make_tables(database: Database) -> None:
    """Empty ones; ours have the original's columns and some more."""
    database.clear()
    engine = connect(SentinelSettings(url=SecretStr(database.variables["SENTINEL_URL"])), MysqlSettings())
    migrate(engine)
    engine.dispose()


def _lag(lags: list[float]) -> str:
    median, most = (1000 * percentile(lags, percent) for percent in (50, 99))
    return f"{median:.0f} ms and {most:.0f} ms"


def _beside(name: str, ours: str, theirs: str) -> Figure:
    return Figure(name, f"ours {ours}; the original {theirs}")
