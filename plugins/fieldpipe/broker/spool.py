"""The spool: a reading is on disk before it is acknowledged, and stays until every sink that it goes to has it.

Who brings readings writes them, and takes along what the sinks have to say meanwhile: one flush to the disk for all. To
hand them to another thread would take longer than the flush. The sinks read their queues from the file. Whoever is
killed at any time: what was committed is there at the next start, whole. Always, for each sink: received = delivered +
dead + queued.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

from fieldpipe import logs
from fieldpipe.broker import spoolfile
from fieldpipe.broker.reading import Reading
from fieldpipe.broker.spoolfile import Counts, Packed, Queued, SpoolFull, SpoolUnavailable
from fieldpipe.crashpoints import reach
from fieldpipe.errors import ConfigurationError

__all__ = ["FILE", "Counts", "Packed", "Queued", "Spool", "SpoolFull", "SpoolUnavailable"]

T = TypeVar("T")

FILE = "readings.db"
EXPIRED_AT_ONCE = 1000  # readings; the others wait for that long
COMPANY_SECONDS = 0.01  # more than passes between two groups of readings that come in all the time
JOURNAL_BYTES = 4 * 1024 * 1024  # about; what is in it more than once is written to its place once
COMMIT_BYTES = 16 * 1024  # of the journal that a commit takes besides its readings, about
RECENT_BYTES = 1024 * 1024  # of the readings that came last: in memory too, where sinks that keep up find them
RESERVE = 32 * 1024 * 1024  # bytes of the disk that readings leave free: what is delivered takes some to be deleted

log = logs.get(__name__)


class _Change(NamedTuple):
    """Readings, or what a sink has to say."""

    make: Callable[[sqlite3.Connection], Any]
    done: Future[Any]


class Spool:
    """Of one process at a time, and of all its threads."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Open it, or make it. Raises ConfigurationError when another broker has it, or it cannot be written."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = _locked(folder)
        self._connection = spoolfile.connect(folder / FILE)  # of whose turn it is
        self._connection.execute("PRAGMA wal_autocheckpoint = 0")  # the writer's thread does it
        self._journal = 0  # bytes, about
        self._checkpointing = spoolfile.connect(folder / FILE)
        self._turn = threading.Lock()
        self._changes: deque[_Change] = deque()
        self._bytes = spoolfile.size(self._connection)  # what is on the disk, and what is about to be
        self._counting = threading.Lock()
        self._readers = threading.local()
        self._recent: dict[int, tuple[Queued, int]] = {}  # and the size, by position
        self._recent_bytes = 0
        self._arrived = threading.Condition()
        self._arrivals = 0
        self._arrived_at = 0.0  # by the monotonic clock
        self._ends = False
        self._changed = threading.Event()
        self._writer = threading.Thread(target=self._write_changes, name="spool", daemon=True)
        self._writer.start()

    @property
    def size(self) -> int:
        """Bytes of the readings in it."""
        return self._bytes

    def pack(self, reading: Reading, sinks: Sequence[str]) -> Packed:
        """A reading for `put`, whose room is kept from now on. Raises SpoolFull."""
        body = spoolfile.encode(reading)
        with self._counting:
            if self._bytes + len(body) > self._max_bytes:
                what = f"the spool {self._folder} holds {self._bytes:,} of {self._max_bytes:,} bytes"
                raise SpoolFull(f"{what}: a sink does not take its readings, or KRAKENB_SPOOL_BYTES is too small")
            self._bytes += len(body)
        return Packed(reading, body, tuple(sinks))

    def put(self, packed: Sequence[Packed]) -> None:
        """When it returns, all are on disk. Raises SpoolFull, SpoolUnavailable: then none of them is."""
        size = sum(len(each.body) for each in packed)
        stored = _Change(lambda c: spoolfile.store(c, packed), Future())
        try:
            self._require_room(2 * size)  # in the journal, then in the file
            with self._turn:
                self._commit([stored], size)
                self._keep(packed, stored.done.result())
        except BaseException:
            self._give_back(size)
            raise
        self._arrived_at = time.monotonic()
        self.wake()

    def first(self, sink: str, limit: int, max_bytes: int) -> list[Queued]:
        """The first readings that wait for a sink, in the order they came; one at least, if there is one.

        Raises SpoolUnavailable.
        """
        recent = [self._recent.get(at) for at in self._ask(lambda c: spoolfile.first_positions(c, sink, limit))]
        kept = [each for each in recent if each is not None]
        if len(kept) == len(recent) and sum(size for _, size in kept) <= max_bytes:
            return [queued for queued, _ in kept]
        return self._ask(lambda c: spoolfile.first_queued(c, sink, limit, max_bytes))

    def settle(self, sink: str, positions: Sequence[int]) -> None:
        """The sink has these. Raises SpoolFull, SpoolUnavailable: then they still wait for it."""
        self._give_back(self._submit(lambda c: spoolfile.settle(c, sink, positions)).result())

    def bury(self, sink: str, position: int, reason: str) -> None:
        """The sink will never take this one. Raises SpoolUnavailable."""
        self._submit(lambda c: spoolfile.bury(c, sink, position, reason)).result()

    def expire(self, before: int, reason: str) -> int:
        """Bury some of what came in before that moment (ns) and still waits; how many. Raises SpoolUnavailable."""
        return self._submit(lambda c: spoolfile.expire(c, before, reason, EXPIRED_AT_ONCE)).result()

    def counts(self) -> Mapping[str, Counts]:
        """By sink, all of one moment. Raises SpoolUnavailable."""
        return self._ask(spoolfile.counts)

    def wait(self, seen: int, seconds: float) -> int:
        """Until more came than `seen`, or for so long. Returns what is to be given the next time."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._arrivals != seen, seconds)
            return self._arrivals

    def wake(self) -> None:
        """Let whoever waits look again."""
        with self._arrived:
            self._arrivals += 1
            self._arrived.notify_all()

    def close(self) -> None:
        """When everything that was said is on disk. Nobody uses it afterwards."""
        self._ends = True
        self._changed.set()
        self._writer.join()
        self._connection.close()
        self._checkpointing.close()
        self._lock.close()

    def _require_room(self, size: int) -> None:
        disk = os.statvfs(self._folder)
        left = disk.f_bavail * disk.f_frsize - RESERVE - size
        if left < 0 and left + self._ask(spoolfile.reusable) < 0:
            raise SpoolFull(f"the disk of the spool {self._folder} is full: readings leave {RESERVE >> 20} MiB free")

    def _keep(self, packed: Sequence[Packed], last: int) -> None:
        """In memory, beside those before, and as many of these as there is room for."""
        for position, (reading, body, _) in enumerate(packed, start=last - len(packed) + 1):
            self._recent[position] = (Queued(position, reading.received, reading), len(body))
            self._recent_bytes += len(body)
        while self._recent_bytes > RECENT_BYTES:
            _, size = self._recent.pop(next(iter(self._recent)))
            self._recent_bytes -= size

    def _give_back(self, size: int) -> None:
        with self._counting:
            self._bytes -= size

    def _submit(self, make: Callable[[sqlite3.Connection], T]) -> Future[T]:
        done: Future[T] = Future()
        self._changes.append(_Change(make, done))
        self._changed.set()
        return done

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """With this thread's own connection, that no writer holds up."""
        try:
            if not hasattr(self._readers, "connection"):
                self._readers.connection = spoolfile.connect(self._folder / FILE)
            return question(self._readers.connection)
        except sqlite3.Error as error:
            raise _ours(self._folder, error) from error

    def _write_changes(self) -> None:
        """The writer's thread: what no readings took along. While they come in all the time, it waits for the next."""
        while not self._ends or self._changes:
            self._changed.wait()
            self._changed.clear()
            if time.monotonic() - self._arrived_at < COMPANY_SECONDS:
                time.sleep(COMPANY_SECONDS)
            with self._turn:
                if self._changes:
                    self._commit([])
            if self._journal > JOURNAL_BYTES:
                self._checkpoint()

    def _checkpoint(self) -> None:
        """Most of it beside the readings that come in, the rest while they wait: only an empty one begins anew."""
        self._journal = 0
        try:
            spoolfile.checkpoint(self._checkpointing)
            with self._turn:
                spoolfile.checkpoint(self._checkpointing)
        except sqlite3.Error as error:  # tried again when more has come
            log.warning("journal_grows", spool=str(self._folder), reason=str(error))

    def _commit(self, changes: list[_Change], size: int = 0) -> None:
        """These, of `size` bytes, and what the sinks have said, or nothing of it. Only for whose turn it is."""
        changes += [self._changes.popleft() for _ in range(len(self._changes))]
        self._journal += size + COMMIT_BYTES
        if self._journal > JOURNAL_BYTES:
            self._changed.set()
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            results = [each.make(connection) for each in changes]
            reach("broker.storing")
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 -- a bug, too, is raised where the change was asked for
            if connection.in_transaction:
                with suppress(sqlite3.Error):  # then the next BEGIN fails, and comes here again
                    connection.execute("ROLLBACK")
            for each in changes:
                each.done.set_exception(_ours(self._folder, error))
            spoolfile.shrink(connection)
            return
        reach("broker.stored")
        for each, result in zip(changes, results, strict=True):
            each.done.set_result(result)


def _locked(folder: Path) -> IO[str]:
    """Held until it is closed, or the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise ConfigurationError(f"KRAKENB_SPOOL: nothing can be written to {folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigurationError(
            f"KRAKENB_SPOOL: another broker uses {folder}; give each a folder of its own"
        ) from error
    return lock


def _ours(folder: Path, error: Exception) -> Exception:
    if not isinstance(error, sqlite3.Error):
        return error
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return SpoolFull(f"the disk of the spool {folder} is full")
    return SpoolUnavailable(f"the spool {folder}: {error}")
