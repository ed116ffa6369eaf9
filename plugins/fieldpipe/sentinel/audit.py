"""The audit: what the tables say against what etcd says, at one revision, so that nothing in flight is a false alarm.

The tables are read in one transaction, with the checkpoint that they stand for; etcd is listed at just that revision.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, NamedTuple

from sqlalchemy import Engine, select
from sqlalchemy import Row as SqlRow
from sqlalchemy.exc import SQLAlchemyError

from fieldpipe.errors import TransientError
from fieldpipe.sentinel.etcd import Etcd, Moment
from fieldpipe.sentinel.keys import STOPPED
from fieldpipe.sentinel.mirror import STATUS, Checkpoint, Deletes
from fieldpipe.sentinel.rows import Kind, Name, Rows, rows_of
from fieldpipe.sentinel.schema import DatabaseUnavailable
from fieldpipe.sentinel.stream import Compacted
from fieldpipe.sentinel.tables import TABLES, checkpoint, columns_of

WAIT_SECONDS = 60.0  # for a mirror that is behind

_LOOK_SECONDS = 0.2

Found = Literal["missing", "extra", "stale", "corrupt"]
"""A row that is not there; one that no key stands for; one that says something else; one whose value is malformed."""


class MirrorBehind(TransientError):
    """The mirror does not come to where etcd is: no watcher runs, or it cannot write."""


class Drift(NamedTuple):
    """One row that is not as it should be. `what`: the columns of a stale one, the reason for a corrupt one."""

    found: Found
    name: Name
    what: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found at a revision. `expected`: the rows that etcd stands for."""

    at: Checkpoint
    expected: Rows
    drift: tuple[Drift, ...]


def audit(engine: Engine, etcd: Etcd, deletes: Deletes, wait_seconds: float = WAIT_SECONDS) -> Audit:
    """Wait until the mirror is where etcd is now, and compare.

    A revision that etcd has forgotten meanwhile is left for the next one that the mirror comes to. Raises MirrorBehind,
    EtcdUnavailable, DatabaseUnavailable.
    """
    now = etcd.now()
    deadline = time.monotonic() + wait_seconds
    while True:
        at, tables = _read(engine, now)
        if at is not None and tables is not None:
            try:
                expected = rows_of(chain.from_iterable(etcd.snapshot(at.revision).pages))
            except Compacted:
                now = etcd.now()
            else:
                return Audit(at, expected, tuple(compare(expected, tables, deletes)))
        if time.monotonic() > deadline:
            raise MirrorBehind(f"etcd is at revision {now.revision}, the mirror at {at.revision if at else 'none'}")
        time.sleep(_LOOK_SECONDS)


def compare(expected: Rows, tables: Mapping[Name, SqlRow[Any]], deletes: Deletes) -> Iterator[Drift]:
    """Every difference, once. Of a row whose newest value is malformed nobody knows what it should say."""
    for name, row in expected.rows.items():
        wanted, found = columns_of(row), tables.get(name)
        if found is None:
            yield Drift("missing", name)
        elif tuple(wanted.values()) != tuple(found):  # a look at each column of all rows would take long
            different = sorted(column for column, value in wanted.items() if found._mapping[column] != value)
            yield Drift("stale", name, ", ".join(different))
    for name in tables.keys() - expected.rows.keys() - expected.corrupt.keys():
        found = tables[name]
        if found.deletedAt is None and deletes != "keep":
            yield Drift("extra", name)
        elif found.deletedAt is not None and str(found._mapping[STATUS[name.kind]]) != STOPPED:
            yield Drift("stale", name, STATUS[name.kind])
    for name, corrupt in expected.corrupt.items():
        yield Drift("corrupt", name, corrupt.reason)
    for bad in expected.bad_keys:
        kind: Kind = "device" if bad.entry.key.startswith(b"/Device/") else "pod"
        yield Drift("corrupt", Name(kind, repr(bad.entry.key)), bad.reason)


def _read(engine: Engine, least: Moment) -> tuple[Checkpoint | None, dict[Name, SqlRow[Any]] | None]:
    """What the tables stand for, and their rows as they are at one moment, by name; none while they are behind."""
    try:
        with engine.begin() as connection:
            found = connection.execute(select(checkpoint.c.cluster_id, checkpoint.c.revision)).first()
            if found is None or found.cluster_id != least.cluster_id or found.revision < least.revision:
                return (Checkpoint(*found) if found and found.cluster_id else None), None
            tables: dict[Name, SqlRow[Any]] = {}
            for kind, table in TABLES.items():
                tables |= {Name(kind, row[0]): row for row in connection.execute(select(table))}
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(f"the mirror's database: {error}") from error
    return Checkpoint(*found), tables
