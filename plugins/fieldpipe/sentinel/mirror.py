"""The mirror: what etcd says, written into the tables; each revision whole, once, in order.

Every transaction begins by locking the checkpoint. What is not behind it was written already, by this process or by
another one: so nothing old ever wins, a commit that was in doubt is safe to repeat, and two watchers may run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from fieldpipe import logs
from fieldpipe.crashpoints import reach
from fieldpipe.errors import TransientError
from fieldpipe.sentinel.keys import STOPPED, BadEntry, Changes, Entry, parse_key
from fieldpipe.sentinel.rows import Kind, Name, Rows, name_of, rows_of
from fieldpipe.sentinel.schema import DatabaseUnavailable
from fieldpipe.sentinel.storing import store_rows, upsert
from fieldpipe.sentinel.sums import Sums
from fieldpipe.sentinel.tables import TABLES, checkpoint, entries, findings, history, primary_key

Deletes = Literal["keep", "mark", "remove"]
"""What becomes of the row when its last key is gone: nothing, `deletedAt` and status 1, or it is deleted."""

AT_ONCE = 500  # keys or names in one statement
SUMMED_AT_ONCE = 2000  # keys: a few milliseconds
BYTES_AT_ONCE = 4 * 1024 * 1024  # of values, and one value more

KEEP_HISTORY = timedelta(days=90)

STATUS: Mapping[Kind, str] = {"device": "connectionStatus", "pod": "status"}
"""The column that says whether a row is stopped."""

_SUMS = (
    func.count(),
    func.sum(entries.c.mod_revision),
    func.sum(func.crc32(entries.c.key) + func.crc32(entries.c.value)),
)

T = TypeVar("T")

log = logs.get(__name__)


class RelistNeeded(TransientError):
    """The tables stand for another cluster, or for nothing yet: take a whole listing first."""


class Checkpoint(NamedTuple):
    """What the tables stand for."""

    cluster_id: str
    revision: int


class Change(NamedTuple):
    """What became of a row, for people. A bad key has no name."""

    what: Literal["inserted", "replaced", "deleted", "bad"]
    name: Name | None
    reason: str = ""


class Mirror:
    """Writes to one database. Not for several threads at once; for several processes."""

    def __init__(self, engine: Engine, deletes: Deletes = "mark", keep_history: timedelta = KEEP_HISTORY) -> None:
        self._engine = engine
        self._deletes = deletes
        self._keep_history = keep_history

    def checkpoint(self) -> Checkpoint | None:
        """None before the first listing. Raises DatabaseUnavailable."""
        with self._transaction() as connection:
            return _locked_checkpoint(connection)

    def apply(self, cluster_id: str, updates: Sequence[Changes]) -> list[Change]:
        """Write revisions that follow one another, in one transaction; those that were written already are skipped.

        Raises RelistNeeded, DatabaseUnavailable: nothing was written, or all of it.
        """
        with self._transaction() as connection:
            known = _locked_checkpoint(connection)
            if known is None or known.cluster_id != cluster_id:
                raise RelistNeeded("the tables stand for another cluster than the one that is watched")
            new = [each for each in updates if each.revision > known.revision]
            if not new:
                return []
            events = [event for each in new for event in each.events]
            _remember(connection, [(event.key, event.value, event.mod_revision) for event in events])
            last = {event.key: event for event in events}
            puts = {key: Entry(key, e.value, e.mod_revision) for key, e in last.items() if e.value is not None}
            changes = self._write(connection, puts, last.keys() - puts.keys())
            _move_checkpoint(connection, Checkpoint(cluster_id, new[-1].revision))
            reach("sentinel.written")
        reach("sentinel.applied")
        return changes

    def relist(self, before: Checkpoint | None, at: Checkpoint, listed: Iterable[Entry]) -> list[Change]:
        """Make the tables stand for a listing: also what vanished unseen is deleted. One transaction.

        `before` is the checkpoint that was known when the listing was taken. Raises RelistNeeded when it has moved: a
        listing that is older than what another watcher wrote must not win, one of an etcd that was restored must.
        """
        with self._transaction() as connection:
            if _lock(connection) != before:
                raise RelistNeeded("another watcher was quicker")
            unseen = _known_keys(connection)
            changes: list[Change] = []
            for part in _parts(listed, lambda entry: len(entry.value)):
                unseen -= {entry.key for entry in part}
                same = _same(connection, part)
                puts = {entry.key: entry for entry in part if entry.key not in same}
                _remember(connection, [(entry.key, entry.value, entry.mod_revision) for entry in puts.values()])
                changes += self._write(connection, puts, ())
            for keys in _parts(unseen):
                _remember(connection, [(key, None, at.revision) for key in keys])
                changes += self._write(connection, {}, keys)
            _move_checkpoint(connection, at)
            reach("sentinel.written")
        reach("sentinel.relisted")
        return changes

    def sums(self, between: Callable[[], object] = lambda: None) -> tuple[Checkpoint | None, Sums]:
        """Of the entries, and the checkpoint that they stand for. Raises DatabaseUnavailable, and what `between` does.

        All of it is of one moment. Where changes can be written meanwhile (not on SQLite) `between` is called every few
        thousand keys, and may write some.
        """
        sums, after = Sums(), b""
        with self._transaction() as connection:
            found = connection.execute(select(checkpoint.c.cluster_id, checkpoint.c.revision)).first()
            while True:
                last = self._end_of_part(connection, after)
                is_in_it = entries.c.key > after
                if last is not None:
                    is_in_it &= entries.c.key <= last
                more = connection.execute(select(*_SUMS).where(is_in_it)).one()
                sums = Sums(*(had + int(new or 0) for had, new in zip(sums, more, strict=True)))
                if last is None:
                    break
                after = last
                between()
        return (Checkpoint(*found) if found and found[0] else None), sums

    def repair(self, names: Collection[Name]) -> None:
        """Write the rows of these names as the entries say, whatever somebody made of them."""
        with self._transaction() as connection:
            _lock(connection)
            for part in _parts(names):
                there = _entries(connection, part)
                _forget(connection, {entry.key for entry in there})
                self._derive(connection, set(part), there)

    def forget(self) -> bool:
        """Delete a little of the history that is too old, oldest first; whether there may be more of it.

        A transaction of its own, which locks only what it deletes: no watcher waits for it, and none is held up.
        """
        with self._transaction() as connection:
            too_old = select(history.c.id).where(history.c.at < _now() - self._keep_history)
            found = list(connection.scalars(too_old.order_by(history.c.at).limit(AT_ONCE)))
            if found:
                connection.execute(delete(history).where(history.c.id.in_(found)))
        return len(found) == AT_ONCE

    def _end_of_part(self, connection: Connection, after: bytes) -> bytes | None:
        """The last key that is summed together with the ones before it; None: all that there are."""
        if connection.dialect.name == "sqlite":
            return None
        keys = select(entries.c.key).where(entries.c.key > after).order_by(entries.c.key)
        return connection.scalar(keys.offset(SUMMED_AT_ONCE - 1).limit(1))

    def _write(self, connection: Connection, puts: Mapping[bytes, Entry], deleted: Collection[bytes]) -> list[Change]:
        """Entries first, then the rows that they are about."""
        named: dict[bytes, Name] = {}
        bad: list[tuple[Entry, str]] = []
        for key in [*puts, *deleted]:
            try:
                named[key] = name_of(parse_key(key))
            except BadEntry as error:
                bad += [(puts[key], str(error))] if key in puts else []
        names = set(named.values())
        there = {entry.key: entry for entry in _entries(connection, names)}
        before = {name_of(parse_key(key)) for key in there}
        gone = there.keys() & deleted
        for part in _parts(gone):
            connection.execute(delete(entries).where(entries.c.key.in_(part)))
        new = {key: puts[key] for key in named if key in puts}
        if new:
            connection.execute(
                upsert(connection, entries), [_columns(entry, named[entry.key]) for entry in new.values()]
            )
        _forget(connection, {*puts, *deleted} | there.keys())
        _note(connection, bad)
        found = self._derive(connection, names, [entry for key, entry in (there | new).items() if key not in gone])
        bad += [(corrupt.entry, corrupt.reason) for corrupt in found.corrupt.values()]
        return [*_shown(names, before, found), *(Change("bad", None, reason) for _, reason in bad)]

    def _derive(self, connection: Connection, names: set[Name], there: Collection[Entry]) -> Rows:
        """Make the rows of these names what their entries say. Nothing stands in the findings about them."""
        found = rows_of(there)
        _note(connection, [(corrupt.entry, corrupt.reason) for corrupt in found.corrupt.values()])
        for kind, table in TABLES.items():
            refused = store_rows(connection, table, [row for name, row in found.rows.items() if name.kind == kind])
            _note(connection, [(refusal.row.entry, refusal.reason) for refusal in refused])
            gone = [name.name for name in names - found.rows.keys() - found.corrupt.keys() if name.kind == kind]
            self._retire(connection, kind, gone)
        return found

    def _retire(self, connection: Connection, kind: Kind, names: list[str]) -> None:
        """Also a row that was marked before: somebody may have changed its status since."""
        table = TABLES[kind]
        marked = {
            "deletedAt": func.coalesce(table.c.deletedAt, _now()),
            STATUS[kind]: STOPPED if kind == "pod" else int(STOPPED),
        }
        for part in _parts(names):
            is_one_of = table.c[primary_key(table)].in_(part)
            if self._deletes == "remove":
                connection.execute(delete(table).where(is_one_of))
            elif self._deletes == "mark":
                connection.execute(update(table).where(is_one_of).values(marked))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise DatabaseUnavailable(f"the mirror's database: {error}") from error


def _locked_checkpoint(connection: Connection) -> Checkpoint | None:
    """Locked until the transaction ends; SQLite locks everything at its beginning."""
    found = connection.execute(select(checkpoint.c.cluster_id, checkpoint.c.revision).with_for_update()).first()
    return Checkpoint(*found) if found and found[0] else None


def _lock(connection: Connection) -> Checkpoint | None:
    """Lock the checkpoint also where there is none yet: of two that begin at once, one waits."""
    nothing = {"id": 1, "cluster_id": "", "revision": 0}
    statement = insert(checkpoint).prefix_with("OR IGNORE", dialect="sqlite").prefix_with("IGNORE", dialect="mysql")
    connection.execute(statement, nothing)
    return _locked_checkpoint(connection)


def _move_checkpoint(connection: Connection, to: Checkpoint) -> None:
    connection.execute(update(checkpoint).values(to._asdict()))


def _remember(connection: Connection, changes: Iterable[Sequence[Any]]) -> None:
    """(key, value, revision) for the history."""
    at = _now()
    rows = [{"key": key, "value": value, "revision": revision, "at": at} for key, value, revision in changes]
    if rows:
        connection.execute(insert(history), rows)


def _known_keys(connection: Connection) -> set[bytes]:
    """Every key of etcd at the checkpoint; malformed ones are findings only."""
    return {key for table in (entries, findings) for (key,) in connection.execute(select(table.c.key))}


def _same(connection: Connection, listed: Collection[Entry]) -> set[bytes]:
    """Keys that say what they said at the checkpoint.

    Values are compared: an etcd that was restored from a backup may come to a revision twice, and say something else.
    """
    wanted = select(entries).where(entries.c.key.in_([entry.key for entry in listed]))
    found = {row.key: (row.mod_revision, row.value) for row in connection.execute(wanted)}
    bad = select(findings).where(findings.c.sha256.in_([_sha256(entry.key) for entry in listed]))
    malformed = {row.key: row.mod_revision for row in connection.execute(bad) if row.key not in found}
    return {
        entry.key
        for entry in listed
        if found.get(entry.key) == (entry.mod_revision, entry.value) or malformed.get(entry.key) == entry.mod_revision
    }


def _entries(connection: Connection, names: Collection[Name]) -> list[Entry]:
    wanted = select(entries.c.key, entries.c.value, entries.c.mod_revision)
    found: list[Entry] = []
    for kind in TABLES:
        for part in _parts(name.name for name in names if name.kind == kind):
            rows = connection.execute(wanted.where(entries.c.kind == kind, entries.c.name.in_(part)))
            found += (Entry(*row) for row in rows)
    return found


def _columns(entry: Entry, name: Name) -> dict[str, Any]:
    return {**entry._asdict(), **name._asdict()}


def _forget(connection: Connection, keys: Collection[bytes]) -> None:
    """What was malformed about them; only the newest key of a row can be a finding."""
    for part in _parts(_sha256(key) for key in keys):
        connection.execute(delete(findings).where(findings.c.sha256.in_(part)))


def _note(connection: Connection, bad: Iterable[tuple[Entry, str]]) -> None:
    """Keep what is malformed where people find it."""
    rows = {
        _sha256(entry.key): {
            "sha256": _sha256(entry.key),
            "key": entry.key,
            "mod_revision": entry.mod_revision,
            "reason": reason,
            "at": _now(),
        }
        for entry, reason in bad
    }
    if rows:
        connection.execute(delete(findings).where(findings.c.sha256.in_(rows)))
        connection.execute(insert(findings), list(rows.values()))


def _shown(names: set[Name], before: set[Name], found: Rows) -> Iterator[Change]:
    for name in sorted(names - found.corrupt.keys()):
        if name in found.rows:
            yield Change("replaced" if name in before else "inserted", name)
        elif name in before:
            yield Change("deleted", name)


def _parts(items: Iterable[T], size: Callable[[T], int] = lambda _: 0) -> Iterator[list[T]]:
    part: list[T] = []
    bytes_left = BYTES_AT_ONCE
    for item in items:
        part.append(item)
        bytes_left -= size(item)
        if len(part) == AT_ONCE or bytes_left <= 0:
            yield part
            part, bytes_left = [], BYTES_AT_ONCE
    if part:
        yield part


def _sha256(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()


def _now() -> datetime:
    """UTC, as columns without a zone hold it."""
    return datetime.now(UTC).replace(tzinfo=None)
