"""A recording in the object store, read by ranges; see reader.Reader.

Requests cost time, not only bytes: what will be read is cut into windows of several MiB, and the next ones are fetched
while one is used. Every request names the ETag, so that an object that is replaced meanwhile is noticed.
"""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from fieldpipe.crashpoints import reach
from fieldpipe.recordings.convert import Source
from fieldpipe.recordings.reader import LocalReader, Reader
from fieldpipe.store import ObjectInfo, ObjectStore

WINDOW = 4 * 1024 * 1024  # bytes
AHEAD = 2  # windows that are fetched before they are asked for
KEPT = 6  # windows in memory; workers read chunks a little out of order
WHOLE = 32 * 1024 * 1024  # bytes of an object that is fetched whole, to a file, before anything is done with it
NEAR = 256 * 1024  # bytes between two ranges that are rather fetched than left out


@contextmanager
def opened(
    store: ObjectStore, bucket: str, key: str, folder: Path, *, etag: str, version_id: str | None = None
) -> Iterator[tuple[Reader, ObjectInfo]]:
    """A version of an object: a small one as a file in `folder`, a large one by ranges."""
    path = folder / "source"
    with path.open("xb") as file:
        found = store.download(bucket, key, file, etag=etag, version_id=version_id, limit=WHOLE)
    if found.size > WHOLE:
        with ObjectReader(store, found) as reader:
            yield reader, found
        return
    reach("recordings.downloaded", key)
    with LocalReader(path) as local:
        path.unlink()
        yield local, found


def source_of(found: ObjectInfo) -> Source:
    """An object as the source of a conversion."""
    assert found.modified is not None
    return Source(found.bucket, found.key, found.etag, found.size, found.modified)


class ObjectReader:
    """Reads one version of an object. Raises ObjectNotFound, ObjectChanged, StoreUnavailable.

    `fetched` counts the bytes of all requests.
    """

    def __init__(self, store: ObjectStore, found: ObjectInfo) -> None:
        self.size = found.size
        self.fetched = 0
        self._store = store
        self._found = found
        self._starts: list[int] = []  # of windows, ascending
        self._ends: list[int] = []
        self._windows: OrderedDict[int, Future[bytes]] = OrderedDict()  # by number; the last one was used last
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(AHEAD + 1)

    def __enter__(self) -> ObjectReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def expect(self, ranges: list[tuple[int, int]]) -> None:
        """See Reader."""
        self._starts, self._ends = [], []
        for start, end in _joined(ranges):
            starts = range(start, end, WINDOW)
            self._starts += starts
            self._ends += [*starts[1:], end]

    def read(self, start: int, length: int) -> bytes:
        """See Reader."""
        end = min(start + length, self.size)
        pieces = []
        while start < end:
            number = bisect.bisect_right(self._starts, start) - 1
            if number < 0 or start >= self._ends[number]:  # nobody expected that
                behind = self._starts[number + 1] if number + 1 < len(self._starts) else end
                pieces.append(self._fetch(start, min(behind, end)))
            else:
                first = self._starts[number]
                pieces.append(self._window(number)[start - first : end - first])
            start += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _window(self, number: int) -> bytes:
        with self._lock:
            for wanted in range(number, min(number + AHEAD + 1, len(self._starts))):
                if wanted not in self._windows:
                    self._windows[wanted] = self._pool.submit(self._fetch, self._starts[wanted], self._ends[wanted])
            self._windows.move_to_end(number)
            while len(self._windows) > KEPT:
                self._windows.popitem(last=False)
            window = self._windows[number]
        return window.result()

    def _fetch(self, start: int, end: int) -> bytes:
        found = self._found
        content = self._store.read(
            found.bucket, found.key, start, end - start, etag=found.etag, version_id=found.version_id
        )
        with self._lock:
            self.fetched += len(content)
        return content


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges with those that lie near each other made one."""
    joined: list[tuple[int, int]] = []
    for start, end in ranges:
        if joined and start - joined[-1][1] <= NEAR:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined
