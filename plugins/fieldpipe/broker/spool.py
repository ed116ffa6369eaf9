"""The spool: a reading is on disk before it is acknowledged, and stays until every sink that it goes to has it.

One thread writes the file, and commits what came in meanwhile together, with one flush to the disk; the sinks read
their queues from it. Whoever is killed at any time: what was committed is there at the next start, whole. Always, for
each sink: received = delivered + dead + queued.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, NamedTuple, TypeVar

from fieldpipe.broker import spoolfile
from fieldpipe.broker.reading import Reading
from fieldpipe.broker.spoolfile import Counts, Packed, Queued, SpoolFull, SpoolUnavailable
from fieldpipe.crashpoints import reach
from fieldpipe.errors import ConfigurationError, TransientError

__all__ = ["FILE", "Counts", "Packed", "Queued", "Spool", "SpoolFull", "SpoolUnavailable"]

T = TypeVar("T")

FILE = "readings.db"
GROUP = 1000  # changes that are flushed together, at most
COMPANY_SECONDS = 0.01  # more than passes between two groups of readings that come in all the time
RESERVE = 32 * 1024 * 1024  # bytes of the disk that readings leave free: what is delivered takes some to be deleted


class _Work(NamedTuple):
    """A change that waits for the writer."""

    change: Callable[[sqlite3.Connection], Any]
    done: Future[Any]
    arrives: bool  # a reading: wake who waits for one


class Spool:
    """Of one process at a time, and of all its threads."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Open it, or make it. Raises ConfigurationError when another broker has it, or it cannot be written."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = _locked(folder)
        connection = spoolfile.connect(folder / FILE)
        self._bytes = spoolfile.size(connection)  # what is on the disk, and what is about to be
        self._counting = threading.Lock()
        self._readers = threading.local()
        self._arrived = threading.Condition()
        self._arrivals = 0
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write, args=(connection,), name="spool", daemon=True)
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
        return Packed(reading.received, body, tuple(sinks))

    def put(self, packed: Sequence[Packed]) -> Future[None]:
        """Done when all are on disk. The future raises SpoolFull or SpoolUnavailable: then none of them is."""
        size = sum(len(each.body) for each in packed)
        done: Future[None] = Future()
        try:
            self._require_room(2 * size)  # in the journal, then in the file
        except TransientError as error:
            done.set_exception(error)
        else:
            done = self._submit(lambda c: spoolfile.store(c, packed), arrives=True)
        done.add_done_callback(lambda future: self._give_back(size) if future.exception() else None)
        return done

    def first(self, sink: str, limit: int, max_bytes: int) -> list[Queued]:
        """The first readings that wait for a sink, in the order they came; one at least, if there is one.

        Raises SpoolUnavailable.
        """
        return self._ask(lambda c: spoolfile.first_queued(c, sink, limit, max_bytes))

    def settle(self, sink: str, positions: Sequence[int]) -> None:
        """The sink has these. Raises SpoolFull, SpoolUnavailable: then they still wait for it."""
        self._give_back(self._submit(lambda c: spoolfile.settle(c, sink, positions)).result())

    def bury(self, sink: str, position: int, reason: str) -> None:
        """The sink will never take this one. Raises SpoolUnavailable."""
        self._submit(lambda c: spoolfile.bury(c, sink, position, reason)).result()

    def expire(self, before: int, reason: str) -> int:
        """Bury some of what came in before that moment (ns) and still waits; how many. Raises SpoolUnavailable."""
        return self._submit(lambda c: spoolfile.expire(c, before, reason, GROUP)).result()

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
        """When everything that was put is on disk. Nobody uses it afterwards."""
        self._work.put(None)
        self._writer.join()
        self._lock.close()

    def _require_room(self, size: int) -> None:
        disk = os.statvfs(self._folder)
        left = disk.f_bavail * disk.f_frsize - RESERVE - size
        if left < 0 and left + self._ask(spoolfile.reusable) < 0:
            raise SpoolFull(f"the disk of the spool {self._folder} is full: readings leave {RESERVE >> 20} MiB free")

    def _give_back(self, size: int) -> None:
        with self._counting:
            self._bytes -= size

    def _submit(self, change: Callable[[sqlite3.Connection], T], *, arrives: bool = False) -> Future[T]:
        done: Future[T] = Future()
        self._work.put(_Work(change, done, arrives))
        return done

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """With this thread's own connection, that no writer holds up."""
        try:
            if not hasattr(self._readers, "connection"):
                self._readers.connection = spoolfile.connect(self._folder / FILE)
            return question(self._readers.connection)
        except sqlite3.Error as error:
            raise _ours(self._folder, error) from error

    def _write(self, connection: sqlite3.Connection) -> None:
        """The writer's thread: until it is told to end."""
        arrived = 0.0
        while group := self._group(arrived):
            try:
                results = _commit(connection, group)
            except Exception as error:  # noqa: BLE001 -- a bug is raised where the change was asked for; this goes on
                for each in group:
                    each.done.set_exception(_ours(self._folder, error))
                spoolfile.shrink(connection)
                continue
            for each, result in zip(group, results, strict=True):
                each.done.set_result(result)
            if any(each.arrives for each in group):
                arrived = time.monotonic()
                self.wake()
        connection.close()

    def _group(self, arrived: float) -> list[_Work]:
        """What is to be flushed together; empty when it is told to end. `arrived`: when readings were flushed last.

        While they come in all the time, what a sink has taken waits a moment to be flushed with the next.
        """
        group: list[_Work] = []
        work = self._work.get()
        busy = time.monotonic() - arrived < COMPANY_SECONDS
        while work is not None:
            group.append(work)
            waits = busy and not any(each.arrives for each in group)
            if len(group) == GROUP or (self._work.empty() and not waits):
                return group
            try:
                work = self._work.get(timeout=COMPANY_SECONDS)
            except Empty:
                return group
        if group:
            self._work.put(None)  # after this group
        return group


def _commit(connection: sqlite3.Connection, group: Sequence[_Work]) -> list[object]:
    """All of them, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = [each.change(connection) for each in group]
        reach("broker.storing")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    reach("broker.stored")
    return results


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
