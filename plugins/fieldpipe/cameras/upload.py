"""Objects on their way to the store: several at once, a bounded number of bytes, and a word when all have arrived."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType

from fieldpipe.crashpoints import reach
from fieldpipe.store import ObjectStore

WORKERS = 4
TOGETHER_BYTES = 4 * 1024 * 1024  # of one request; a larger object goes alone
TOGETHER = 128  # objects of one request
WAITING = WORKERS + 2  # requests that are held in memory


class Uploads(AbstractContextManager["Uploads"]):
    """Writes objects to a bucket. Errors of the store come out of a later call."""

    def __init__(self, store: ObjectStore, bucket: str) -> None:
        self._store = store
        self._bucket = bucket
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="upload")
        self._group: dict[str, bytes] = {}
        self._size = 0
        self._running: deque[Future[None]] = deque()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def add(self, contents: Mapping[str, bytes]) -> None:
        """Take the objects of one record; waits while too much is on its way."""
        size = sum(map(len, contents.values()))
        if self._group and (self._size + size > TOGETHER_BYTES or len(self._group) >= TOGETHER):
            self._send()
        self._group |= contents
        self._size += size

    def mark(self) -> list[Future[None]]:
        """What must have ended before everything that was added so far has arrived."""
        self._send()
        return list(self._running)

    def _send(self) -> None:
        if not self._group:
            return
        while len(self._running) >= WAITING:
            self._running.popleft().result()
        self._running.append(self._pool.submit(self._put, self._group))
        self._group, self._size = {}, 0

    def _put(self, group: dict[str, bytes]) -> None:
        self._store.put_all(self._bucket, group)
        reach("cameras.uploaded")
