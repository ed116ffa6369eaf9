"""Group commit: one thread takes everything that is waiting, commits it together and gives each caller its answers.

A caller that is alone does not wait for company; while a commit runs, company gathers by itself.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from fieldpipe import logs
from fieldpipe.events.database import LedgerUnavailable, Unstorable

Item = TypeVar("Item")
Answer = TypeVar("Answer")

log = logs.get(__name__)


class _Waiter(Generic[Item, Answer]):
    __slots__ = ("answers", "error", "items", "ready")

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.answers: list[Answer] = []
        self.error: Exception | None = None
        self.ready = threading.Lock()  # held until there is an outcome; cheaper than an Event, and this is the hot path
        self.ready.acquire()


class GroupWriter(Generic[Item, Answer]):
    """Calls `commit(items)` for many callers at once; it returns one answer per item, in order, or raises."""

    def __init__(
        self,
        commit: Callable[[list[Item]], list[Answer]],
        *,
        capacity: int = 10_000,  # items that may wait
        group: int = 1_000,  # items of one transaction, more only if one caller brings more
        patience: float = 5.0,  # seconds that a caller waits
    ) -> None:
        self._commit = commit
        self._capacity = capacity
        self._group = group
        self._patience = patience
        self._waiting: deque[_Waiter[Item, Answer]] = deque()
        self._count = 0
        self._work = threading.Condition(threading.Lock())
        self._thread = threading.Thread(target=self._run, name="group-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Items that wait for the next commit."""
        return self._count

    def submit(self, items: Sequence[Item]) -> list[Answer]:
        """Wait until the items are committed.

        Raises LedgerUnavailable: the outcome is not known, send them again; Unstorable: of these items, never.
        """
        waiter: _Waiter[Item, Answer] = _Waiter(items)
        with self._work:
            if self._count and self._count + len(items) > self._capacity:
                raise LedgerUnavailable(f"{self._count} events are already waiting for the ledger")
            self._waiting.append(waiter)
            self._count += len(items)
            self._work.notify()
        if not waiter.ready.acquire(timeout=self._patience):
            raise LedgerUnavailable(f"the ledger did not commit within {self._patience} s")
        if waiter.error is not None:
            raise waiter.error
        return waiter.answers

    def _run(self) -> None:
        while True:
            group = self._take()
            try:
                self._settle(group)
            except Exception as error:
                log.exception("group_commit_failed", items=sum(len(waiter.items) for waiter in group))
                for waiter in group:
                    waiter.error = LedgerUnavailable(f"a bug in recording events: {error}")
            for waiter in group:
                waiter.ready.release()

    def _take(self) -> list[_Waiter[Item, Answer]]:
        with self._work:
            while not self._waiting:
                self._work.wait()
            group = [self._waiting.popleft()]
            size = len(group[0].items)
            while self._waiting and size + len(self._waiting[0].items) <= self._group:
                group.append(self._waiting.popleft())
                size += len(group[-1].items)
            self._count -= size
        return group

    def _settle(self, group: list[_Waiter[Item, Answer]]) -> None:
        try:
            answers = iter(self._commit([item for waiter in group for item in waiter.items]))
        except Unstorable as error:
            if len(group) == 1:
                group[0].error = error
            else:  # one caller's trouble is not the others'
                for waiter in group:
                    self._settle([waiter])
            return
        except LedgerUnavailable as error:
            for waiter in group:
                waiter.error = error
            return
        for waiter in group:
            waiter.answers = [next(answers) for _ in waiter.items]
