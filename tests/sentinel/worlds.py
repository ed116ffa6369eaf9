"""An etcd that is changed at random, with what it held at each revision; and troubles for the watcher beside it."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import Any

from sqlalchemy import Engine, delete, event, func, select
from sqlalchemy.exc import OperationalError

from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.keys import Entry
from fieldpipe.sentinel.rows import Name, Rows, rows_of
from fieldpipe.sentinel.schema import DatabaseUnavailable
from fieldpipe.sentinel.tables import TABLES, checkpoint, entries, findings, history, metadata
from tests.etcd_servers import RunningEtcd
from tests.sentinel.models import device_key, device_value, expected, pod_key, pod_value, rows_in

FOREIGN = b"/Elsewhere/x"  # of others, between our two prefixes
MALFORMED_KEYS = (b"/Device/a", b"/Pod/a/0", b"/Device/a/2", b"/Device/\xff/0", b"/Device/" + b"long" * 700 + b"/0")
MALFORMED_VALUES = (b"", b"{", b"[]", b"\xff\xfe", b'{"deviceName": "another", "podName": "another"}', b"[" * 5000)
LONG_SECONDS = 600  # a lease that does not end by itself


class Killed(Exception):
    """The watcher's process is gone: nothing after this happens, what is not committed is not there."""


class Hasty(Flag):
    """A flag whose waiting takes no time."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


@dataclass
class World:
    """Writes to an etcd that nobody else writes to, and knows what is there at each revision."""

    server: RunningEtcd
    client: Etcd
    chance: random.Random
    keys: dict[bytes, bytes] = field(default_factory=dict)
    revisions: dict[bytes, int] = field(default_factory=dict)
    states: dict[int, list[Entry]] = field(default_factory=dict)
    leases: list[int] = field(default_factory=list)
    revision: int = 0
    compacted: int = 0

    def __post_init__(self) -> None:
        self._reach(self.client.now().revision)
        self.compacted = self.revision

    def step(self) -> None:
        """Something happens; the last of it is a change that a watcher hears of."""
        kinds: Mapping[Callable[[], None], int] = {
            self._several: 8,
            self._move: 4,
            self._move_in_two: 2,
            self._malform: 3,
            self._lease: 1,
            self._end_lease: 1,
            self._compact: 1,
        }
        before = self.revision
        self.chance.choices(list(kinds), list(kinds.values()))[0]()
        if self.revision == before or self.chance.random() < 0.2:
            self._reach(self.client.put(FOREIGN, b"x"))

    def clear(self) -> None:
        """Nothing is there any more."""
        self._change({}, list(self.keys))

    def state(self, revision: int) -> list[Entry]:
        """What was there at a revision."""
        return self.states[max(known for known in self.states if known <= revision)]

    def _several(self) -> None:
        keys = {self._key() for _ in range(self.chance.choice((1, 1, 2, 6)))}
        puts = {key: self._value(key) for key in keys if self.chance.random() < 0.65}
        self._change(puts, list(keys - puts.keys()))

    def _move(self) -> None:
        key = self._key()
        self._change({_moved(key): self._value(key)}, [key])

    def _move_in_two(self) -> None:
        key = self._key()
        halves: list[tuple[dict[bytes, bytes], list[bytes]]] = [({_moved(key): self._value(key)}, []), ({}, [key])]
        self.chance.shuffle(halves)
        for puts, deletes in halves:
            self._change(puts, deletes)

    def _malform(self) -> None:
        if self.chance.random() < 0.5:
            self._change({self._key(): self.chance.choice(MALFORMED_VALUES)}, [])
        else:
            key = self.chance.choice(MALFORMED_KEYS)
            self._change({} if key in self.keys else {key: b"{}"}, [key] if key in self.keys else [])

    def _lease(self) -> None:
        lease = self.server.grant(LONG_SECONDS)
        values = {key: self._value(key) for key in [self._key() for _ in range(3)]}
        for key, value in values.items():
            self._put(key, value, self.server.put(key.decode(), value, lease))
        self.leases.append(lease)

    def _end_lease(self) -> None:
        if self.leases:
            self.server.revoke(self.leases.pop())
            there = {entry.key: entry for page in self.client.snapshot().pages for entry in page}
            for key in self.keys.keys() - there.keys():
                del self.keys[key], self.revisions[key]
            self._reach(self.client.now().revision)
        self._several()

    def _compact(self) -> None:
        if self.revision > self.compacted:
            self.compacted = self.chance.randint(max(self.compacted + 1, self.revision - 10), self.revision)
            self.server.compact(self.compacted)
        self._several()

    def _change(self, puts: Mapping[bytes, bytes], deletes: list[bytes]) -> None:
        revision = self.client.transaction(puts, deletes)
        for key in deletes:
            self.keys.pop(key, None)
            self.revisions.pop(key, None)
        for key, value in puts.items():
            self._put(key, value, revision)
        self._reach(revision)

    def _put(self, key: bytes, value: bytes, revision: int) -> None:
        self.keys[key], self.revisions[key] = value, revision
        self._reach(revision)

    def _reach(self, revision: int) -> None:
        self.revision = revision
        self.states[revision] = [Entry(key, self.keys[key], self.revisions[key]) for key in sorted(self.keys)]

    def _key(self) -> bytes:
        name, status = self.chance.choice(("a", "b", "c", "O'Reilly", "Grüße 機")), self.chance.choice("01")
        return self.chance.choice((device_key(name, status), pod_key(name, self.chance.choice("ab"), status)))

    def _value(self, key: bytes) -> bytes:
        version = str(self.chance.randrange(1000))
        parts = key.decode().split("/")
        if parts[1] == "Device":
            return device_value(parts[2], os=version, deviceIp=f"10.0.0.{self.chance.randrange(3)}", mac=version)
        return pod_value(parts[4], currentVersion=version, deviceNameFk=parts[2])


def _moved(key: bytes) -> bytes:
    parts = key.split(b"/")
    parts[3] = b"1" if parts[3] == b"0" else b"0"
    return b"/".join(parts)


class Trouble:
    """Befalls whoever uses an engine: once, before a statement or a commit, or right behind the commit."""

    def __init__(self, engine: Engine) -> None:
        self._left = 0
        self._is_end = False
        self.is_within = False  # a transaction is open
        event.listen(engine, "before_cursor_execute", self._pass)
        event.listen(engine, "commit", self._pass)
        event.listen(engine, "begin", lambda _: self._be_within(True))
        event.listen(engine, "commit", lambda _: self._be_within(False))
        event.listen(engine, "rollback", lambda _: self._be_within(False))

    def begin(self, steps: int, *, is_end: bool) -> None:
        """After so many of them the process is killed; or else the database has gone away, and comes back."""
        self._left, self._is_end = steps, is_end

    def end(self) -> None:
        """Not any more."""
        self._left = 0

    def reach(self, _: str) -> None:
        """A crash point: behind a commit nobody knows whether it was one."""
        try:
            self._pass()
        except OperationalError as error:
            raise DatabaseUnavailable("commit in doubt") from error

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """For those who only look."""
        left, self._left = self._left, 0
        yield
        self._left = left

    def _be_within(self, is_within: bool) -> None:
        self.is_within = is_within

    def _pass(self, *_: object) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed if self._is_end else OperationalError("a statement", {}, Exception(2006, "gone away"))


def fresh(engine: Engine) -> None:
    """Tables without a row."""
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(delete(table))


def check(engine: Engine, world: World, deletes: str) -> None:
    """The tables say what etcd said at the checkpoint: rows, entries, findings, the end of the history."""
    with engine.begin() as connection:
        found = connection.execute(select(checkpoint.c.cluster_id, checkpoint.c.revision)).first()
        stored = connection.execute(select(entries.c.key, entries.c.value, entries.c.mod_revision)).all()
        noted = {tuple(each) for each in connection.execute(select(findings.c.key, findings.c.mod_revision))}
        last = select(func.max(history.c.id)).group_by(history.c.key)
        newest = dict(connection.execute(select(history.c.key, history.c.value).where(history.c.id.in_(last))).all())
        rows = rows_in(connection)
    if not found or not found[0]:
        assert (stored, noted, rows, newest) == ([], set(), {}, {})
        return
    state = world.state(found[1])
    wanted = rows_of(state)
    bad_keys = {corrupt.entry.key for corrupt in wanted.bad_keys}
    assert sorted(stored) == [tuple(entry) for entry in state if entry.key not in bad_keys]
    assert noted == {(corrupt.entry.key, corrupt.entry.mod_revision) for corrupt in _all_corrupt(wanted)}
    assert {key: value for key, value in newest.items() if value is not None} == {e.key: e.value for e in state}
    check_rows(rows, wanted, deletes)


def check_rows(rows: Mapping[Name, Mapping[str, Any]], wanted: Rows, deletes: str) -> None:
    """Rows of what is there are exact; the others are gone, marked or kept. Of malformed ones nobody knows."""
    known = {name: row for name, row in rows.items() if name in wanted.rows}
    assert known == expected(corrupt_free(wanted))
    others = {name: row for name, row in rows.items() if name not in wanted.rows and name not in wanted.corrupt}
    if deletes == "remove":
        assert others == {}
    if deletes == "mark":
        assert all(row["deletedAt"] and str(row[_status(name)]) == "1" for name, row in others.items())


def corrupt_free(rows: Rows) -> list[Entry]:
    """The entries that the rows come from."""
    return [row.entry for row in rows.rows.values()]


def _all_corrupt(rows: Rows) -> list[Any]:
    return [*rows.corrupt.values(), *rows.bad_keys]


def _status(name: Name) -> str:
    return next(column for column in ("connectionStatus", "status") if column in TABLES[name.kind].c)
