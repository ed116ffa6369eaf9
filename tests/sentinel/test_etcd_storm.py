"""A watch of etcd while others write, delete and compact as fast as they can, and its reader is slow at times."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import NamedTuple

import pytest

from fieldpipe.sentinel.etcd import Compacted, Etcd
from fieldpipe.sentinel.keys import Changes
from tests.etcd_servers import RunningEtcd

SECONDS = 10.0

pytestmark = pytest.mark.fault

Written = dict[int, dict[bytes, bytes | None]]
"""By revision; None: deleted."""


class Life(NamedTuple):
    """What a watch gave, from which revision on, and whether it said that etcd had forgotten what came next."""

    begin: int
    changes: list[Changes]
    refused: bool

    @property
    def end(self) -> int:
        """The last revision that it gave."""
        return self.changes[-1].revision if self.changes else self.begin


def write(server: RunningEtcd, ended: Event, written: Written) -> None:
    """Transactions over some of 300 keys, of values small and large; what had an effect is noted."""
    chance = random.Random(7)
    with Etcd(server.settings) as etcd:
        there: set[bytes] = set()
        while not ended.is_set():
            keys = [b"/Device/edge-%03d/0" % chance.randrange(300) for _ in range(chance.randrange(1, 6))]
            puts = {key: chance.randbytes(chance.choice((10, 300, 30_000))) for key in keys if chance.random() < 0.7}
            deletes = (set(keys) - puts.keys()) & there
            if puts or deletes:
                written[etcd.transaction(puts, deletes)] = {**puts, **dict.fromkeys(deletes)}
                there = there - deletes | puts.keys()


def compact(server: RunningEtcd, ended: Event, forgotten: list[int]) -> None:
    """Near to what is new, again and again; noted before it happens."""
    chance = random.Random(9)
    last = server.revision()
    while not ended.wait(chance.uniform(0.05, 0.3)):
        revision = server.revision() - chance.randrange(30)
        if revision > last:
            forgotten.append(revision)
            server.compact(revision)
            last = revision


@contextmanager
def storm(server: RunningEtcd, written: Written, forgotten: list[int]) -> Iterator[Callable[[], None]]:
    """Both at work, until what it gives is called."""
    ended = Event()
    with ThreadPoolExecutor(2) as threads:
        running: list[Future[None]] = [
            threads.submit(write, server, ended, written),
            threads.submit(compact, server, ended, forgotten),
        ]

        def end() -> None:
            ended.set()
            for each in running:
                each.result()

        try:
            yield end
        finally:
            ended.set()


def watch_for(etcd: Etcd, after: int, cluster_id: str, chance: random.Random) -> Life:
    """What a watch gives in a short life, to a reader that is slow at times: etcd has to wait, and gets ahead."""
    found: list[Changes] = []
    deadline = time.monotonic() + chance.uniform(0.1, 1.5)
    try:
        with etcd.watch(after, cluster_id) as watch:
            while time.monotonic() < deadline:
                found += [each for each in watch.take() if isinstance(each, Changes)]
                if chance.random() < 0.1:
                    time.sleep(chance.uniform(0, 0.5))
    except Compacted:
        return Life(after, found, refused=True)
    return Life(after, found, refused=False)


def test_a_watch_delivers_every_revision_or_says_that_it_cannot(any_etcd: RunningEtcd) -> None:
    chance = random.Random(11)
    written: Written = {}
    forgotten: list[int] = []
    lives: list[Life] = []
    with Etcd(any_etcd.settings) as etcd, storm(any_etcd, written, forgotten) as end:
        deadline = time.monotonic() + SECONDS
        first = etcd.now()
        after = first.revision
        while time.monotonic() < deadline:
            life = watch_for(etcd, after, first.cluster_id, chance)
            assert not life.refused or life.end < max(forgotten, default=0)
            lives.append(life)
            after = etcd.now().revision if life.refused else life.end
            time.sleep(chance.choice((0, 0.3)))  # nobody watches, and etcd forgets
        end()
        last = watch_for(etcd, first.revision, first.cluster_id, chance)

    for life in lives:
        found = [(each.revision, {event.key: event.value for event in each.events}) for each in life.changes]
        assert found == [
            (revision, written[revision]) for revision in sorted(written) if life.begin < revision <= life.end
        ]
    assert any(life.changes for life in lives)
    assert last == Life(first.revision, [], refused=True), "long forgotten, however weak the storm"
