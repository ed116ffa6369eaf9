"""The file of the spool: its tables, and every statement about them.

Functions that are given a connection do not commit: whoever calls them does.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import accumulate, chain
from pathlib import Path
from time import time_ns
from typing import NamedTuple

from fieldpipe.broker.reading import Reading
from fieldpipe.errors import ConfigurationError, PermanentError, TransientError

BUSY_SECONDS = 10.0  # that one writer waits for another: the broker for who retries dead letters

_SCHEMA = """
CREATE TABLE IF NOT EXISTS readings (
    position INTEGER PRIMARY KEY AUTOINCREMENT, received INTEGER NOT NULL, size INTEGER NOT NULL,
    checksum INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS queue (
    sink TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (sink, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead (
    sink TEXT NOT NULL, position INTEGER NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (sink, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sinks (
    sink TEXT PRIMARY KEY, received INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
"""

# Each is one step, however many readings it is about: at every step other threads may take the interpreter, and give it
# back late.
_QUEUE = """
INSERT INTO queue (sink, position)
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
"""
_COUNT = """
INSERT INTO sinks (sink, received) SELECT key, value FROM json_each(?) WHERE true
    ON CONFLICT DO UPDATE SET received = received + excluded.received
"""
_POSITIONS = """
SELECT json_group_array(position) FROM (SELECT position FROM queue WHERE sink = ? ORDER BY position LIMIT ?)
"""
# The heads as JSON, and the bodies in one piece, each as long as its head says.
_FIRST = """
SELECT json_group_array(json_array(position, received, checksum, length)) FROM
    (SELECT position, received, checksum, length(body) AS length FROM queue JOIN readings USING (position)
        WHERE sink = ? ORDER BY position LIMIT ?)
"""
_BODIES = """
SELECT CAST(group_concat(CAST(body AS TEXT), '') AS BLOB) FROM
    (SELECT body FROM readings WHERE position IN (SELECT value FROM json_each(?)) ORDER BY position)
"""
# Per reading and sink one look at a primary key: nobody waits for it any more, nor asks what became of it. CROSS: in
# this order, not through the whole queue.
UNNEEDED = """
SELECT coalesce(sum(size), 0), json_group_array(position) FROM readings
    WHERE position IN (SELECT value FROM json_each(?))
    AND NOT EXISTS (SELECT 1 FROM sinks CROSS JOIN queue USING (sink) WHERE queue.position = readings.position)
    AND NOT EXISTS (SELECT 1 FROM sinks CROSS JOIN dead USING (sink) WHERE dead.position = readings.position)
"""
_INSERT_ROWS = 64  # readings of one statement, at most
_INSERT_BYTES = 1 << 20  # of one statement; it may be exceeded by one reading

_json = json.JSONEncoder(ensure_ascii=False)
_HEAD = tuple(field.name for field in fields(Reading) if field.name != "payload")


class SpoolFull(TransientError):
    """There is no room for this reading. It was not taken."""


class SpoolUnavailable(TransientError):
    """The disk did not do it. A reading was not taken, or stays in its queue."""


class Damaged(PermanentError):
    """What is on the disk is not what was written."""


class Packed(NamedTuple):
    """A reading, as it is written, and where it is to go."""

    reading: Reading
    body: bytes
    sinks: tuple[str, ...]


class Queued(NamedTuple):
    """A reading that waits for a sink. None: the disk did not keep it."""

    position: int
    received: int
    reading: Reading | None


class Counts(NamedTuple):
    """What became of the readings that went to a sink."""

    received: int
    delivered: int
    dead: int
    queued: int


class DeadLetter(NamedTuple):
    """A reading that a sink will not take. `at`: when that was found out, in nanoseconds since 1970."""

    sink: str
    position: int
    at: int
    reason: str
    reading: Reading | None


def connect(path: Path) -> sqlite3.Connection:
    """A connection that commits each statement by itself, until BEGIN. Makes the file, and the tables in it.

    Raises ConfigurationError when there can be no such file, PermanentError when it is none of ours.
    """
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a commit is a flush to the disk
        connection.execute("PRAGMA journal_size_limit = 16777216")
        connection.execute("PRAGMA secure_delete = FAST")  # Debian's default overwrites all that is deleted
        connection.executescript(_SCHEMA)
    except sqlite3.OperationalError as error:
        raise ConfigurationError(f"KRAKENB_SPOOL: {path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise PermanentError(f"{path} is damaged ({error}): move it away, and keep it; a new one is made") from error
    return connection


def store(connection: sqlite3.Connection, packed: Sequence[Packed]) -> int:
    """Readings in this order, and which sinks each is to go to. The position of the last; they count by one."""
    queue: list[tuple[str, int]] = []
    last = 0
    for group in _portions(packed):
        rows = ", ".join(["(?, ?, ?, ?)"] * len(group))
        statement = f"INSERT INTO readings (received, size, checksum, body) VALUES {rows}"  # noqa: S608 -- question marks
        values = ((reading.received, len(body), zlib.crc32(body), body) for reading, body, _ in group)
        last = connection.execute(statement, tuple(chain.from_iterable(values))).lastrowid or 0
        for position, each in enumerate(group, start=last - len(group) + 1):  # AUTOINCREMENT counts by one
            queue += [(sink, position) for sink in each.sinks]
    connection.execute(_QUEUE, (json.dumps(queue),))
    connection.execute(_COUNT, (json.dumps(Counter(sink for sink, _ in queue)),))
    return last


def first_positions(connection: sqlite3.Connection, sink: str, limit: int) -> list[int]:
    """Where the first readings are that wait for a sink, in the order they came."""
    (told,) = connection.execute(_POSITIONS, (sink, limit)).fetchone()
    return list(json.loads(told))


def first_queued(connection: sqlite3.Connection, sink: str, limit: int, max_bytes: int) -> list[Queued]:
    """The first readings that wait for a sink, in the order they came; one at least, if there is one."""
    (told,) = connection.execute(_FIRST, (sink, limit)).fetchone()
    heads = json.loads(told)
    fitting = sum(1 for total in accumulate(size for *_, size in heads) if total <= max_bytes)
    heads = heads[: max(fitting, 1)]
    if not heads:
        return []
    (bodies,) = connection.execute(_BODIES, (json.dumps([position for position, *_ in heads]),)).fetchone()
    found: list[Queued] = []
    begin = 0
    for position, received, checksum, size in heads:
        found.append(Queued(position, received, _checked(checksum, bodies[begin : begin + size])))
        begin += size
    return found


def settle(connection: sqlite3.Connection, sink: str, positions: Sequence[int]) -> int:
    """The sink has these. How many bytes nobody needs any more."""
    listed = json.dumps(positions)
    statement = "DELETE FROM queue WHERE sink = ? AND position IN (SELECT value FROM json_each(?))"
    had = connection.execute(statement, (sink, listed)).rowcount  # fewer, where some became too old meanwhile
    connection.execute("UPDATE sinks SET delivered = delivered + ? WHERE sink = ?", (had, sink))
    size, unneeded = connection.execute(UNNEEDED, (listed,)).fetchone()
    connection.execute("DELETE FROM readings WHERE position IN (SELECT value FROM json_each(?))", (unneeded,))
    return int(size)


def bury(connection: sqlite3.Connection, sink: str, position: int, reason: str) -> None:
    """The sink will not take this one."""
    connection.execute("DELETE FROM queue WHERE sink = ? AND position = ?", (sink, position))
    connection.execute("INSERT INTO dead VALUES (?, ?, ?, ?)", (sink, position, time_ns(), reason))


def expire(connection: sqlite3.Connection, before: int, reason: str, limit: int) -> int:
    """Bury what came in before that moment and still waits. How many were."""
    statement = (
        "SELECT sink, position FROM queue JOIN readings USING (position) WHERE received < ? ORDER BY position LIMIT ?"
    )
    old = connection.execute(statement, (before, limit)).fetchall()
    for sink, position in old:
        bury(connection, sink, position, reason)
    return len(old)


def dead_letters(connection: sqlite3.Connection, sink: str | None = None) -> Iterator[DeadLetter]:
    """Those of a sink, or all, in the order they came in."""
    statement = (
        "SELECT sink, position, at, reason, checksum, body FROM dead JOIN readings USING (position) "
        "WHERE ?1 IS NULL OR sink = ?1 ORDER BY position, sink"
    )
    for name, position, at, reason, checksum, body in connection.execute(statement, (sink,)):
        yield DeadLetter(name, position, at, reason, _checked(checksum, body))


def retry(connection: sqlite3.Connection, letters: Iterable[tuple[str, int]]) -> int:
    """Put dead letters, by sink and position, back into their queues. How many were there."""
    found = 0
    for sink, position in letters:
        there = connection.execute("DELETE FROM dead WHERE sink = ? AND position = ?", (sink, position)).rowcount
        if there:
            connection.execute("INSERT INTO queue (sink, position) VALUES (?, ?)", (sink, position))
        found += there
    return found


def counts(connection: sqlite3.Connection) -> Mapping[str, Counts]:
    """By sink, all of one moment: received = delivered + dead + queued."""
    statement = (
        "SELECT sink, received, delivered, (SELECT count(*) FROM dead WHERE dead.sink = sinks.sink), "
        "(SELECT count(*) FROM queue WHERE queue.sink = sinks.sink) FROM sinks"
    )
    return {sink: Counts(*numbers) for sink, *numbers in connection.execute(statement)}


def reusable(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold nothing: it does not become smaller, but is filled again."""
    (pages,), (page_size,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_size")
    )
    return int(pages) * int(page_size)


def checkpoint(connection: sqlite3.Connection) -> None:
    """Move what is in the journal by now to its place in the file; nobody waits for that. Then it is filled again."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def shrink(connection: sqlite3.Connection) -> None:
    """Give the journal's room back to the disk, where that can be done now."""
    with contextlib.suppress(sqlite3.Error):  # the next commit says what is wrong
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def size(connection: sqlite3.Connection) -> int:
    """Bytes of all readings that are kept."""
    (found,) = connection.execute("SELECT coalesce(sum(size), 0) FROM readings").fetchone()
    return int(found)


def encode(reading: Reading) -> bytes:
    """As it lies on the disk: a line of JSON, then the payload as it came."""
    head = {name: getattr(reading, name) for name in _HEAD}
    return b"%s\n%s" % (_json.encode(head).encode("utf-8", "surrogatepass"), reading.payload)


def decode(body: bytes) -> Reading:
    """What `encode` was given."""
    head, _, payload = body.partition(b"\n")
    return Reading(**json.loads(head.decode("utf-8", "surrogatepass")), payload=payload)


def _portions(packed: Sequence[Packed]) -> Iterator[Sequence[Packed]]:
    """As many as one statement takes, in order."""
    portion: list[Packed] = []
    size = 0
    for each in packed:
        portion.append(each)
        size += len(each.body)
        if len(portion) == _INSERT_ROWS or size >= _INSERT_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _checked(checksum: int, body: bytes) -> Reading | None:
    return decode(body) if zlib.crc32(body) == checksum else None
