"""The watcher: follows etcd and keeps the mirror, for ever.

It begins where the mirror's checkpoint stands. Where that cannot be, because etcd has forgotten what came after it, is
another cluster, or was restored from a backup, a whole listing is taken first. What fails for a while is tried again;
nothing is lost meanwhile, as the checkpoint and the rows are written together.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from threading import Event as Flag

from fieldpipe import logs
from fieldpipe.errors import TransientError
from fieldpipe.sentinel.etcd import Etcd, Watch
from fieldpipe.sentinel.keys import Changes, Entry, Progress
from fieldpipe.sentinel.mirror import Change, Checkpoint, Mirror, RelistNeeded
from fieldpipe.sentinel.stream import Compacted, ListAgain
from fieldpipe.sentinel.sums import Sums, add

EVENTS = 1000  # of one transaction, and the rest of its last revision
SHARE = 10  # comparing with a whole listing takes at most one part in so many of the time
LONGEST_PAUSE = 10.0  # seconds between two attempts, at most; in fact less, by chance

log = logs.get(__name__)


class Watcher:
    """One process. `alive` is called at least every few seconds while it works, or waits for others."""

    def __init__(
        self, etcd: Etcd, mirror: Mirror, compare_seconds: float, alive: Callable[[], object] = lambda: None
    ) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._compare_seconds = compare_seconds
        self._alive = alive
        self._next_comparison = time.monotonic() + compare_seconds
        self._list_first = False
        self._failed = 0  # times, one after the other
        self._history_is_old = True

    def run(self, stop: Flag) -> None:
        """Until `stop` is set. Raises PermanentError for what no waiting mends."""
        while not stop.is_set():
            self._alive()
            try:
                self._follow(stop)
            except RelistNeeded as error:  # another watcher has moved the checkpoint: go on from there
                self._wait(stop, "sentinel_is_overtaken", error)
            except ListAgain as error:
                self._list_first = True
                self._wait(stop, "sentinel_lists_again", error)
            except TransientError as error:
                self._wait(stop, "sentinel_waits", error)

    def _wait(self, stop: Flag, what: str, error: TransientError) -> None:
        self._failed += 1
        log.warning(what, reason=str(error), attempts=self._failed)
        if self._failed > 1 or what == "sentinel_waits":
            stop.wait(random.uniform(0, min(LONGEST_PAUSE, 0.1 * 2 ** min(self._failed, 10))))  # noqa: S311 -- no secret

    def _follow(self, stop: Flag) -> None:
        """Until it is to stop, or something fails."""
        known = self._mirror.checkpoint()
        if known is None or self._list_first or not self._is_reached(known):
            known = self._relist(known)
            self._list_first = False
        with self._etcd.watch(known.revision, known.cluster_id) as watch:
            log.info("sentinel_watches", cluster=known.cluster_id, revision=known.revision)
            self._alive()
            while not stop.is_set():
                self._take(watch, known.cluster_id)
                self._alive()
                if time.monotonic() >= self._next_comparison:
                    self._compare_aside(watch, known.cluster_id)
                    self._history_is_old = True
                if self._history_is_old:  # a little at a time: changes do not wait for it
                    self._history_is_old = self._mirror.forget()

    def _take(self, watch: Watch, cluster_id: str) -> None:
        for updates in _transactions(watch.take()):
            show(self._mirror.apply(cluster_id, updates))
            self._alive()
        self._failed = 0

    def _relist(self, known: Checkpoint | None) -> Checkpoint:
        """Make the mirror stand for a whole listing; where it did already, nothing is written but the checkpoint."""
        began = time.monotonic()
        listing = self._etcd.snapshot()
        at = Checkpoint(listing.cluster_id, listing.revision)
        changes = self._mirror.relist(known, at, chain.from_iterable(self._alive_at_each(listing.pages)))
        show(changes)
        seconds = time.monotonic() - began
        log.info("sentinel_listed", revision=at.revision, changes=len(changes), seconds=round(seconds, 3))
        return at

    def _compare_aside(self, watch: Watch, cluster_id: str) -> None:
        """Whether the entries are what etcd has at the checkpoint. A part at a time: changes do not wait for it.

        Raises ListAgain where they are not, by somebody's hand or our mistake.
        """
        began = time.monotonic()
        self._next_comparison = began + self._compare_seconds  # also if this fails

        def follow() -> None:
            self._alive()
            if watch.has_news():
                self._take(watch, cluster_id)

        at, there = self._mirror.sums(follow)
        if at is None:
            raise RelistNeeded("the tables have lost their checkpoint")
        listed = Sums()
        try:
            for page in self._etcd.snapshot(at.revision).pages:
                listed = add(listed, page)
                follow()
        except Compacted:  # meanwhile: the next one may be quicker
            return
        if listed != there:
            raise ListAgain(f"at revision {at.revision} etcd has {listed}, the mirror {there}")
        seconds = time.monotonic() - began
        self._next_comparison = time.monotonic() + max(self._compare_seconds, SHARE * seconds)
        log.info("sentinel_compared", revision=at.revision, keys=listed.keys, seconds=round(seconds, 3))

    def _alive_at_each(self, pages: Iterable[list[Entry]]) -> Iterator[list[Entry]]:
        for page in pages:
            self._alive()
            yield page

    def _is_reached(self, known: Checkpoint) -> bool:
        now = self._etcd.now()
        return now.cluster_id == known.cluster_id and now.revision >= known.revision


def show(changes: Iterable[Change]) -> None:
    """A line for each."""
    for change in changes:
        if change.name is None:
            log.warning("entry_malformed", reason=change.reason)
        else:
            log.info(f"{change.name.kind}_{change.what}", name=change.name.name)


def _transactions(updates: Sequence[Changes | Progress]) -> Iterator[list[Changes]]:
    """Revisions that are written together. Progress is a revision that changes nothing of ours."""
    together: list[Changes] = []
    events = 0
    for update in updates:
        together.append(update if isinstance(update, Changes) else Changes(update.revision, ()))
        events += len(together[-1].events)
        if events >= EVENTS:
            yield together
            together, events = [], 0
    if together:
        yield together
