"""Rows into the tables that others read: many at once, and one by one where the database refuses some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from fieldpipe.sentinel.rows import Row
from fieldpipe.sentinel.tables import columns_of, primary_key

_OF_A_ROW = {1292, 1364, 1644, 3819, 4025}  # wrong value, no default, a trigger's word, CHECK of MySQL and MariaDB


class Refused(NamedTuple):
    """A row that the database does not take."""

    row: Row
    reason: str


def store_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> list[Refused]:
    """Insert or replace rows; those that the database refuses are returned, the others are stored."""
    if not rows or _try(connection, table, rows) is None:
        return []
    tried = [(row, _try(connection, table, [row])) for row in rows]
    return [Refused(row, reason) for row, reason in tried if reason is not None]


def upsert(connection: Connection, table: Table) -> Any:
    """Insert rows, or replace those that have the same primary key."""
    key = primary_key(table)
    names = [column.name for column in table.columns if column.name != key]
    if connection.dialect.name == "mysql":
        statement = mysql.insert(table)
        return statement.on_duplicate_key_update({name: statement.inserted[name] for name in names})
    other = sqlite.insert(table)
    return other.on_conflict_do_update(index_elements=[key], set_={name: other.excluded[name] for name in names})


def _try(connection: Connection, table: Table, rows: Sequence[Row]) -> str | None:
    """The reason why the database refuses them; None: they are stored.

    A statement that is refused is undone, and what was done before it stays: a savepoint would only cost time.
    """
    try:
        connection.execute(upsert(connection, table), [columns_of(row) for row in rows])
    except DBAPIError as error:  # anything else may pass, and must not be taken for what a row says
        if not isinstance(error, DataError | IntegrityError) and _code(error) not in _OF_A_ROW:
            raise
        return f"{rows[0].entry.key!r}: the database refuses the row: {error.orig}"
    return None


def _code(error: DBAPIError) -> Any:
    return error.orig.args[0] if error.orig and error.orig.args else None
