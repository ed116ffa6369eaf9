"""How far the tables are behind etcd: of one change at a time, and of changes that come at a rate."""

from __future__ import annotations

import random
import statistics
import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from fieldpipe.sentinel.etcd import Etcd
from tests.bench.sentinel_field import Database, Field, Look, Watching, Written, cpu
from tests.bench.sentinel_fleet import pod

LOOK_SECONDS = 0.001  # between two looks at the tables, beside what a look takes
PROBE = "probe"
PAUSE = 0.05  # seconds between two changes, at most


@dataclass(frozen=True)
class Pace:
    """Changes that came at a rate. Times in seconds, memory in bytes."""

    rate: float
    lags: list[float]  # of each change, from sending it to etcd until its row stands there
    earlier: float  # changes on their way, on average, in the second quarter of the time
    later: float  # and in the last one
    emptied: float  # after the last change was sent
    cpu: float  # of a change
    database_cpu: float


def latencies(field: Field, database: Database, watching: Watching, count: int) -> list[float]:
    """Seconds from sending a change to etcd until its row stands there, one change after the other."""
    found: list[float] = []
    with Etcd(field.etcd.settings) as etcd, Look(database) as look:
        for _ in range(count):
            time.sleep(random.uniform(0, PAUSE))
            begin = time.monotonic()
            key, value = pod(PROBE, "edge-00000", str(begin))
            etcd.put(key, value)
            watching.wait_for(partial(_is_there, look, str(begin)), LOOK_SECONDS)
            found.append(time.monotonic() - begin)
    return found


def pace(field: Field, database: Database, watching: Watching, rate: int, seconds: int) -> Pace:
    """Changes at a rate, one a revision."""
    before, database_before = cpu(watching.child.pid), database.cpu()
    with Look(database) as look:
        writer = field.start_writer(rate * seconds, rate)
        seen = [(time.monotonic(), look.revision())]
        while writer.exit_code() is None:
            _look(look, seen)
        written = field.written(writer)
        watching.wait_for(lambda: _look(look, seen) >= written.revisions[-1], pause=0)
    return Pace(
        written.rate,
        _lags(written, seen),
        _on_their_way(written, seen, 1),
        _on_their_way(written, seen, 3),
        seen[-1][0] - max(written.sent),
        (cpu(watching.child.pid) - before) / (rate * seconds),
        (database.cpu() - database_before) / (rate * seconds),
    )


def catch_up(field: Field, database: Database, count: int) -> float:
    """Changes per second of a watcher that starts when so many were made without it."""
    written = field.written(field.start_writer(count))
    with Look(database) as look, field.watch(database) as watching:
        before = look.revision()
        watching.wait_for(lambda: look.revision() > before)
        begin, first = time.monotonic(), look.revision()
        watching.wait_for(lambda: look.revision() >= written.revisions[-1])
        return (written.revisions[-1] - first) / (time.monotonic() - begin)


def percentile(values: Sequence[float], percent: int) -> float:
    """Of so many percent of the values, the greatest."""
    return statistics.quantiles(values, n=100)[percent - 1]


def _is_there(look: Look, version: str) -> bool:
    return look.version(PROBE) == version


def _look(look: Look, seen: list[tuple[float, int]]) -> int:
    """Remember when the checkpoint moved."""
    time.sleep(5 * LOOK_SECONDS)
    revision = look.revision()
    if revision != seen[-1][1]:
        seen.append((time.monotonic(), revision))
    return revision


def _lags(written: Written, seen: Sequence[tuple[float, int]]) -> list[float]:
    revisions = [revision for _, revision in seen]
    there = (seen[bisect_left(revisions, revision)][0] for revision in written.revisions)
    return [moment - sent for moment, sent in zip(there, written.sent, strict=True)]


def _on_their_way(written: Written, seen: Sequence[tuple[float, int]], quarter: int) -> float:
    """Changes that were sent and are not there yet, on average over a quarter of the time."""
    sent = sorted(written.sent)
    length = (sent[-1] - sent[0]) / 4
    begin = sent[0] + quarter * length
    times = [moment for moment, _ in seen]
    counts = []
    for step in range(100):
        moment = begin + length * step / 100
        revision = seen[max(0, bisect_right(times, moment) - 1)][1]
        counts.append(bisect_right(sent, moment) - bisect_right(written.revisions, revision))
    return statistics.mean(counts)
