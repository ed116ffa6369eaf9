"""What waits, and why: the questions that people and monitoring ask the ledger. Nothing here changes a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from fieldpipe.events.routes import Routes

# Two parts, so that each uses its partial index: the table holds years of finished rows.
_COUNTS = text(
    """
    SELECT route, state, count(*) AS rows, min(due_at) > now() AS backing_off,
           EXTRACT(EPOCH FROM now() - min(received_at)) AS oldest
    FROM objects WHERE state = 'received' GROUP BY route, state
    UNION ALL
    SELECT route, state, count(*), false, EXTRACT(EPOCH FROM now() - min(received_at))
    FROM objects WHERE state IN ('unresolved', 'claimed', 'dispatched', 'dead') GROUP BY route, state
    """
)
_RUNS = text("SELECT route, count(*) AS runs FROM runs WHERE state <> 'closed' GROUP BY route")
_HELD = text("SELECT route, held_reason FROM route_status WHERE held_reason IS NOT NULL")
_REJECTED = text("SELECT count(*) FROM rejected")
_MISSING = text("SELECT count(*) FROM objects WHERE result_missing_since IS NOT NULL")


@dataclass(frozen=True)
class RouteBacklog:
    """What is open on one route. `oldest` is the age in seconds of the oldest row that waits, 0 when none does."""

    rows: Mapping[str, int] = field(default_factory=dict)  # by state: the open ones and dead
    oldest: float = 0.0
    runs: int = 0  # in flight
    held: str | None = None  # why no run is started
    waits_for: str | None = None  # why rows wait, also when it is no trouble


@dataclass(frozen=True)
class Backlog:
    """Of the whole ledger. `rejected` counts bodies that can never become rows, `missing` results that vanished."""

    routes: Mapping[str, RouteBacklog]
    rejected: int
    missing: int


def backlog(connection: Connection, routes: Routes) -> Backlog:
    """Count what is open, by route and state; routes that nobody configures any more are named too."""
    counts = connection.execute(_COUNTS).all()
    flying = {row.route: row.runs for row in connection.execute(_RUNS)}
    held = {row.route: row.held_reason for row in connection.execute(_HELD)}
    result = {}
    for name in sorted({*routes.by_name, *(row.route for row in counts), *flying}):
        mine = [row for row in counts if row.route == name]
        waiting = [row for row in mine if row.state != "dead"]
        received = next((row for row in mine if row.state == "received"), None)
        route = routes.by_name.get(name)
        runs = flying.get(name, 0)
        reason = held.get(name) if route else "no such route in the routes file"
        waits_for = None
        if received is not None:
            full = route is not None and runs >= route.max_runs
            waits_for = reason or (f"one of {runs} runs in flight to end" if full else None)
            waits_for = waits_for or (
                "the end of a pause after a failure" if received.backing_off else "the dispatcher's next turn"
            )
        result[name] = RouteBacklog(
            rows={row.state: row.rows for row in mine},
            oldest=max((float(row.oldest) for row in waiting), default=0.0),
            runs=runs,
            held=reason,
            waits_for=waits_for,
        )
    rejected = connection.execute(_REJECTED).scalar_one()
    return Backlog(result, rejected, connection.execute(_MISSING).scalar_one())
