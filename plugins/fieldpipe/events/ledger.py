"""The ledger as dispatchers use it: admission, leases, and the end of runs. Tables: schema.py; events in: ingest.py.

Several dispatchers may call this at once. Whoever holds a run's lease acts on it; every change is guarded by that
lease, so that one that was stopped for a minute and wakes up changes nothing. Only the database's clock is used.
Every method raises LedgerUnavailable; then it is not known whether it was done, and all of them may be repeated.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from fieldpipe.crashpoints import reach
from fieldpipe.events import statements as sql
from fieldpipe.events.database import transaction
from fieldpipe.events.decisions import Candidate, Member, Verdict, judge, poll_delay, run_id, take_batch
from fieldpipe.events.routes import Route
from fieldpipe.events.states import RunState
from fieldpipe.handover import Report, WorkItem, utc_text


@dataclass(frozen=True, slots=True)
class Run:
    """A run of which we hold the lease. `age` is seconds since it was sent, `failures` those in a row."""

    run_id: str
    route: str
    dag_id: str
    conf: dict[str, Any]
    state: RunState
    failures: int
    age: float


@dataclass(frozen=True, slots=True)
class Demand:
    """What a route has to do now."""

    waiting: bool  # rows that are due
    unresolved: bool
    runs: int  # in flight


class Ledger:
    """The ledger for one dispatcher, which `owner` names; no two have the same."""

    def __init__(
        self,
        engine: Engine,
        owner: str,
        *,
        lease_seconds: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._chance = chance

    def demand(self, route: str) -> Demand:
        """A cheap look, without locks: is there anything to do?"""
        with transaction(self._engine) as connection:
            row = connection.execute(sql.DEMAND, {"route": route}).one()
            return Demand(row.waiting, row.unresolved, row.runs)

    def claim(self, route: Route) -> Run | None:
        """Store the next run of a route, leased to us; None: nothing is due, or the limit of runs is reached."""
        with transaction(self._engine) as connection:
            connection.execute(sql.ADMISSION_LOCK, {"route": route.name})
            if connection.execute(sql.OPEN_RUNS, {"route": route.name}).scalar_one() >= route.max_runs:
                return None
            rows = connection.execute(sql.DUE_ROWS, {"route": route.name, "limit": route.batch_limit})
            candidates = [_candidate(row) for row in rows]
            batch = take_batch(candidates, limit=route.batch_limit, max_bytes=route.batch_bytes)
            return self._store_run(connection, route, batch) if batch else None

    def lease_due(self, limit: int) -> list[Run]:
        """Runs that should be sent again or looked at now and that nobody else holds."""
        with transaction(self._engine) as connection:
            connection.execute(text("SET LOCAL synchronous_commit = off"))  # a lost lease costs nothing
            return [_run(row) for row in connection.execute(sql.LEASE, self._me(limit=limit))]

    def mark_dispatched(self, run: Run) -> None:
        """Airflow has the run."""
        with transaction(self._engine) as connection:
            if connection.execute(sql.MARK_RUN, self._me(run_id=run.run_id, delay=poll_delay(0))).rowcount:
                connection.execute(sql.MARK_ROWS, {"run_id": run.run_id})

    def postpone(self, run: Run, seconds: float, *, failed: bool = False) -> None:
        """Give the lease back; the run is due again after `seconds`."""
        with transaction(self._engine) as connection:
            connection.execute(text("SET LOCAL synchronous_commit = off"))
            connection.execute(sql.POSTPONE, self._me(run_id=run.run_id, delay=seconds, failed=failed))

    def send_again(self, run: Run) -> None:
        """Airflow has lost the run: it goes back to those that wait to be sent, with the same id."""
        with transaction(self._engine) as connection:
            connection.execute(sql.SEND_AGAIN, self._me(run_id=run.run_id))

    def abandon(self, run: Run, reason: str) -> None:
        """The run cannot be sent under its id: its rows wait for another one."""
        with transaction(self._engine) as connection:
            if connection.execute(sql.ABANDON_RUN, self._me(run_id=run.run_id)).rowcount:
                connection.execute(sql.ABANDON_ROWS, {"run_id": run.run_id, "reason": reason})

    def close(self, run: Run, reports: Mapping[int, Report], run_state: str) -> list[Verdict] | None:
        """Give every row of the run what the reports say; None: the lease is no longer ours, nothing was changed."""
        with transaction(self._engine) as connection:
            if not connection.execute(sql.CLOSE_RUN, self._me(run_id=run.run_id, airflow_state=run_state)).rowcount:
                return None
            members = [Member(*row) for row in connection.execute(sql.MEMBERS, {"run_id": run.run_id})]
            verdicts = [judge(m, reports.get(m.id), run_state, self._chance()) for m in members]
            if verdicts:
                connection.execute(sql.SETTLE, [asdict(verdict) for verdict in verdicts])
            reach("dispatch.closing")
            return verdicts

    def release(self) -> None:
        """Give all our leases back, so that another dispatcher need not wait for them to end."""
        with transaction(self._engine) as connection:
            connection.execute(sql.RELEASE, self._me())

    def hold(self, route: str, reason: str | None) -> None:
        """Say why a route starts nothing; None: it does."""
        with transaction(self._engine) as connection:
            connection.execute(sql.HOLD, {"route": route, "reason": reason})

    def seconds_to_next_run(self) -> float | None:
        """Until a run is due to be looked at; None: none is in flight."""
        with transaction(self._engine) as connection:
            seconds = connection.execute(sql.NEXT_DUE).scalar()
            return None if seconds is None else max(0.0, float(seconds))

    def _store_run(self, connection: Connection, route: Route, batch: list[Candidate]) -> Run:
        pairs = [(_id(candidate), candidate.attempt) for candidate in batch]
        run = run_id(route.name, pairs)
        conf = {"run": run, "objects": [candidate.item._asdict() for candidate in batch]}
        row = connection.execute(sql.INSERT_RUN, self._me(run_id=run, route=route.name, dag_id=route.dag_id, conf=conf))
        members = [{"run_id": run, "object_id": object_id, "attempt": attempt} for object_id, attempt in pairs]
        connection.execute(sql.INSERT_MEMBERS, members)
        connection.execute(sql.CLAIM_ROWS, {"run_id": run, "ids": [object_id for object_id, _ in pairs]})
        return _run(row.one())

    def _me(self, **values: object) -> dict[str, object]:
        return {"owner": self._owner, "lease": self._lease_seconds, **values}


def _candidate(row: Row[Any]) -> Candidate:
    received = utc_text(row.received_at.astimezone(UTC))
    item = WorkItem(row.bucket, row.key, row.etag, row.id, row.version_id, received)
    return Candidate(item, row.size or 0, row.alone, row.attempt)


def _id(candidate: Candidate) -> int:
    assert candidate.item.id is not None, "rows of the ledger have ids"
    return candidate.item.id


def _run(row: Row[Any]) -> Run:
    return Run(row.run_id, row.route, row.dag_id, row.conf, RunState(row.state), row.failures, row.age)
