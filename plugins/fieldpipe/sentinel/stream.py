"""A watch of etcd that runs: a thread reads its answers, the mirror takes what they say; whole revisions, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import groupby
from threading import Event as Flag
from threading import Thread
from types import TracebackType
from typing import Any, Protocol

from fieldpipe.errors import FieldpipeError, TransientError
from fieldpipe.sentinel.inbox import Inbox
from fieldpipe.sentinel.keys import Changes, Event, Progress, is_ours

MAX_WAITING = 16 * 1024 * 1024  # bytes of answers that were read and not yet taken
BEAT_SECONDS = 5.0  # between two questions for progress

_DELETE = 1  # mvccpb.Event.EventType
_ASKED = -1  # the watch of an answer to a question for progress


class EtcdUnavailable(TransientError):
    """etcd did not answer, or refused for a reason that will pass."""


class TooLarge(EtcdUnavailable):
    """What etcd has to say is more than one message holds."""


class ListAgain(TransientError):
    """What came after the revision cannot be had: only a new snapshot says what is there."""


class Compacted(ListAgain):
    """etcd has forgotten the revision."""


class ClusterChanged(ListAgain):
    """This etcd is another one, or it was restored from a backup: it has not come to the revision yet."""


class Source(Protocol):
    """The etcd that is watched."""

    address: str
    silence_seconds: float

    def progress_is_sure(self) -> bool:
        """Whether an answer to a question for progress comes behind the changes that it speaks of."""

    def open_watch(self, after: int, beats: Iterator[None]) -> tuple[Iterator[Any], Callable[[], object]]:
        """etcd's answers (WatchResponse), asked for progress at each beat, and what ends them."""


class Watch(AbstractContextManager["Watch"]):
    """Updates as they come: one after the other when it is iterated, all that are there with `take`.

    Raises EtcdUnavailable, also when nothing was heard for silence_seconds; ListAgain; ConfigurationError.
    """

    def __init__(self, etcd: Source, after: int, cluster_id: str) -> None:
        self._etcd = etcd
        self._cluster_id = cluster_id
        self._reached = after
        self._progress_is_sure = etcd.progress_is_sure()
        self._closed = Flag()
        self._inbox: Inbox[Any] = Inbox(MAX_WAITING)
        self._answers, self._cancel = etcd.open_watch(after, self._beats())
        self._reader = Thread(target=self._read, name="etcd-watch", daemon=True)
        self._reader.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing comes any more."""
        self._closed.set()
        self._inbox.close()
        self._cancel()
        self._reader.join()

    def __iter__(self) -> Iterator[Changes | Progress]:
        while True:
            yield from self.take()

    def has_news(self) -> bool:
        """Whether `take` would not wait."""
        return self._inbox.holds_something()

    def take(self) -> list[Changes | Progress]:
        """All updates that have come, as soon as there is one. None at all: etcd is there, and nothing changed."""
        answers = self._inbox.take(self._etcd.silence_seconds)
        if not answers:
            raise EtcdUnavailable(f"etcd at {self._etcd.address}: silent for {self._etcd.silence_seconds:g} s")
        updates: list[Changes | Progress] = []
        for answer in answers:
            if isinstance(answer, FieldpipeError):
                if not updates:
                    raise answer
                self._inbox.put(answer, 0)  # the next one takes it: what came before counts
            else:
                updates += self._updates(answer)
        return updates

    def _updates(self, answer: Any) -> Iterator[Changes | Progress]:
        """etcd never divides a revision into two answers, unless it is asked to."""
        for revision, events in groupby(answer.events, key=lambda each: int(each.kv.mod_revision)):
            if revision > self._reached:
                ours = tuple(_event(each) for each in events if is_ours(each.kv.key))
                yield self._reach(Changes(revision, ours) if ours else Progress(revision))
        sure = self._progress_is_sure or answer.watch_id != _ASKED
        if sure and not answer.events and not answer.created and answer.header.revision > self._reached:
            yield self._reach(Progress(int(answer.header.revision)))

    def _reach(self, update: Changes | Progress) -> Changes | Progress:
        self._reached = update.revision
        return update

    def _beats(self) -> Iterator[None]:
        while not self._closed.wait(min(BEAT_SECONDS, self._etcd.silence_seconds / 3)):
            yield

    def _read(self) -> None:
        try:
            for answer in self._answers:
                self._check(answer)
                if not self._inbox.put(answer, answer.ByteSize()):
                    return
            end: FieldpipeError = EtcdUnavailable(f"etcd at {self._etcd.address} has ended the watch")
        except TooLarge as error:
            end = ListAgain(f"{error}: so much changed at once")
        except FieldpipeError as error:
            end = error
        self._inbox.put(end, 0)

    def _check(self, answer: Any) -> None:
        if answer.compact_revision:
            raise Compacted(f"etcd has forgotten what came before revision {answer.compact_revision}")
        if cluster_of(answer) != self._cluster_id:
            raise ClusterChanged(f"this is cluster {cluster_of(answer)}, not {self._cluster_id}")


def cluster_of(answer: Any) -> str:
    """The id of the cluster that answers, as etcdctl writes it."""
    return format(answer.header.cluster_id, "x")


def _event(event: Any) -> Event:
    return Event(event.kv.key, None if event.type == _DELETE else event.kv.value, int(event.kv.mod_revision))
