"""A watch of etcd while others write, delete and compact as fast as they can, and its reader is slow at times."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event

import pytest

from fieldpipe.sentinel.etcd import Etcd, ListAgain
from fieldpipe.sentinel.keys import Changes
from tests.etcd_servers import RunningEtcd

SECONDS = 10.0

pytestmark = pytest.mark.fault

Written = dict[int, dict[bytes, bytes | None]]
"""By revision; None: deleted."""


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


def compact(server: RunningEtcd, ended: Event) -> None:
    """Near to what is new, again and again."""
    chance = random.Random(9)
    last = server.revision()
    while not ended.wait(chance.uniform(0.05, 0.3)):
        revision = server.revision() - chance.randrange(30)
        if revision > last:
            server.compact(revision)
            last = revision


@contextmanager
def storm(server: RunningEtcd, written: Written) -> Iterator[Callable[[], None]]:
    """Both at work, until what it gives is called."""
    ended = Event()
    with ThreadPoolExecutor(2) as threads:
        running: list[Future[None]] = [
            threads.submit(write, server, ended, written),
            threads.submit(compact, server, ended),
        ]

        def end() -> None:
            ended.set()
            for each in running:
                each.result()

        try:
            yield end
        finally:
            ended.set()


def watch_for(etcd: Etcd, after: int, cluster_id: str, chance: random.Random) -> list[Changes]:
    """What a watch gives in a short life, to a reader that is slow at times: etcd has to wait, and gets ahead."""
    found: list[Changes] = []
    deadline = time.monotonic() + chance.uniform(0.1, 1.5)
    with suppress(ListAgain), etcd.watch(after, cluster_id) as watch:
        while time.monotonic() < deadline:
            found += [each for each in watch.take() if isinstance(each, Changes)]
            if chance.random() < 0.1:
                time.sleep(chance.uniform(0, 0.5))
    return found


def test_a_watch_delivers_every_revision_or_says_that_it_cannot(any_etcd: RunningEtcd) -> None:
    chance = random.Random(11)
    written: Written = {}
    lives: list[tuple[int, list[Changes]]] = []
    with Etcd(any_etcd.settings) as etcd, storm(any_etcd, written) as end:
        deadline = time.monotonic() + SECONDS
        now = etcd.now()
        after = now.revision
        while time.monotonic() < deadline:
            lives.append((after, watch_for(etcd, after, now.cluster_id, chance)))
            after = lives[-1][1][-1].revision if lives[-1][1] else etcd.now().revision
            time.sleep(chance.uniform(0, 0.3))  # nobody watches, and etcd forgets
        end()
        after = now.revision  # long forgotten, however weak the storm
        lives.append((after, watch_for(etcd, after, now.cluster_id, chance)))

    for begin, changes in lives:
        found = [(each.revision, {event.key: event.value for event in each.events}) for each in changes]
        last = changes[-1].revision if changes else begin
        assert found == [(revision, written[revision]) for revision in sorted(written) if begin < revision <= last]
    assert sum(len(changes) for _, changes in lives) > len(written) / 4
    assert not lives[-1][1]
