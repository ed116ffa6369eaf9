"""What a person asks of the ledger: look at rows, try a dead one again, process finished ones anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select, true, update

from fieldpipe.errors import PermanentError
from fieldpipe.events.schema import CHANNEL, history, objects, rejected, run_members, runs
from fieldpipe.events.states import State

Record = dict[str, Any]


class NotFound(PermanentError):
    """The ledger has nothing of that name."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows. `key` may hold `*`; an empty filter means all of them."""

    state: State | None = None
    route: str | None = None
    bucket: str | None = None
    key: str | None = None
    reason: str | None = None  # contained in the row's
    ids: tuple[int, ...] = ()

    def condition(self) -> ColumnElement[bool]:
        """As SQL."""
        c = objects.c
        parts: list[ColumnElement[bool]] = [true()]
        if self.state:
            parts.append(c.state == self.state.value)
        if self.route:
            parts.append(c.route == self.route)
        if self.bucket:
            parts.append(c.bucket == self.bucket)
        if self.key:
            parts.append(_like(self.key))
        if self.reason:
            parts.append(c.reason.contains(self.reason, autoescape=True))
        if self.ids:
            parts.append(c.id.in_(self.ids))
        return and_(*parts)


def list_objects(connection: Connection, wanted: Filter, *, limit: int) -> list[Record]:
    """The newest rows, newest first."""
    query = select(objects).where(wanted.condition()).order_by(objects.c.id.desc()).limit(limit)
    return _records(connection.execute(query).mappings().all())


def list_rejected(connection: Connection, *, limit: int) -> list[Record]:
    """The bodies that can never become rows, last seen first, without their content."""
    columns = [column for column in rejected.c if column.name != "body"]
    query = select(*columns).order_by(rejected.c.last_at.desc()).limit(limit)
    return _records(connection.execute(query).mappings().all())


def show(connection: Connection, name: str) -> list[Record]:
    """Everything about a row (by id or by key) or a rejected body (by the start of its sha256). Raises NotFound."""
    condition = objects.c.id == int(name) if name.isdecimal() else objects.c.key == name
    rows = _records(connection.execute(select(objects).where(condition).order_by(objects.c.id)).mappings().all())
    if rows:
        return [
            {**row, "history": _history(connection, row["id"]), "runs": _runs(connection, row["id"])} for row in rows
        ]
    query = select(rejected).where(rejected.c.sha256.startswith(name, autoescape=True))
    bodies = _records(connection.execute(query).mappings().all())
    if not bodies:
        raise NotFound(f"the ledger has no object with this id or key and no rejected body with this sha256: {name}")
    return [body | {"body": bytes(body["body"]).decode(errors="backslashreplace")} for body in bodies]


def retry(connection: Connection, wanted: Filter) -> int:
    """Dead rows wait for a run again, with a full budget of attempts; returns how many."""
    return _again(connection, wanted, State.DEAD, {"reason": "retried by a person"})


def reprocess(connection: Connection, wanted: Filter) -> int:
    """Finished rows wait for a run again, as a new generation; returns how many."""
    changes = {"reason": "reprocessed by a person", "generation": objects.c.generation + 1}
    return _again(connection, wanted, State.DONE, changes)


def totals(connection: Connection) -> dict[str, int]:
    """Rows by state, all of them: reads the whole table."""
    query = select(objects.c.state, func.count().label("number")).group_by(objects.c.state)
    return {row.state: row.number for row in connection.execute(query)}


def _again(connection: Connection, wanted: Filter, state: State, changes: dict[str, Any]) -> int:
    fresh = {"state": State.RECEIVED.value, "crashes": 0, "transient_since": None, "due_at": func.now()}
    query = update(objects).where(wanted.condition(), objects.c.state == state.value).values(fresh | changes)
    changed = connection.execute(query).rowcount
    connection.execute(select(func.pg_notify(CHANNEL, "")))
    return changed


def _history(connection: Connection, object_id: int) -> list[Record]:
    query = select(history).where(history.c.object_id == object_id).order_by(history.c.id)
    return _records(connection.execute(query).mappings().all())


def _runs(connection: Connection, object_id: int) -> list[Record]:
    names = ("run_id", "state", "airflow_state", "sends", "created_at", "sent_at", "closed_at")
    columns = [runs.c[name] for name in names]
    joined = runs.join(run_members, runs.c.run_id == run_members.c.run_id)
    query = select(*columns).select_from(joined).where(run_members.c.object_id == object_id).order_by(runs.c.created_at)
    return _records(connection.execute(query).mappings().all())


def _like(pattern: str) -> ColumnElement[bool]:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    return objects.c.key.like(escaped, escape="\\")


def _records(rows: Sequence[Any]) -> list[Record]:
    return [dict(row) for row in rows]


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    return value.isoformat() if isinstance(value, datetime) else value
