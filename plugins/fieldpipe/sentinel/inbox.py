"""Where a thread puts what it reads and another takes it, all at once; the reader waits while much lies there."""

from __future__ import annotations

from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """Holds at most `most` bytes, or one item that is larger."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: list[Item] = []
        self._size = 0
        self._closed = False
        self._changed = Condition()

    def put(self, item: Item, size: int) -> bool:
        """Wait until there is room; False when nobody will take it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._items or self._size + size <= self._most)
            if self._closed:
                return False
            self._items.append(item)
            self._size += size
            self._changed.notify_all()
            return True

    def holds_something(self) -> bool:
        """Whether `take` would not wait."""
        with self._changed:
            return bool(self._items)

    def take(self, seconds: float) -> list[Item]:
        """Everything that is there, in order; waits for the first item, and returns none when the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items), seconds)
            items, self._items, self._size = self._items, [], 0
            self._changed.notify_all()
            return items

    def close(self) -> None:
        """Nothing is taken any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
