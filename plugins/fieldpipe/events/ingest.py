"""Events into the ledger: one transaction for as many as are waiting, so that a commit's fsync is shared."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, text

from fieldpipe.events.notification import Event, Status
from fieldpipe.events.schema import CHANNEL

BODY_KEPT = 64 * 1024  # bytes of a rejected body


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event and the name of its route."""

    route: str
    event: Event


@dataclass(frozen=True, slots=True)
class RejectedBody:
    """A body that can never become a row. `head` is its first BODY_KEPT bytes."""

    sha256: str
    reason: str
    size: int
    head: bytes


Identity = tuple[str, str, str, str]

_FIELDS = ("route", "bucket", "key", "etag", "version_id", "size", "sequencer", "event_name", "source")
_ARRAYS = ", ".join(f"CAST(:{name} AS {'bigint' if name == 'size' else 'text'}[])" for name in _FIELDS)
_ARRIVALS = f"unnest({_ARRAYS}) AS a ({', '.join(_FIELDS)})"

_WAKE = f"pg_notify('{CHANNEL}', '')"  # PostgreSQL sends equal notifications of a transaction once

_INSERT = text(
    f"""
    INSERT INTO objects ({", ".join(_FIELDS)}, state)
    SELECT a.*, CASE WHEN a.etag = '' THEN 'unresolved' ELSE 'received' END FROM {_ARRIVALS}
    ON CONFLICT DO NOTHING
    RETURNING bucket, key, etag, route, {_WAKE}
    """  # noqa: S608 -- built from constants of this file
)

# The same version again: one that was gone or superseded is back, one in flight may be when its run closes. An event
# that is merely repeated has the sequencer that the row has; of an event without ETag nobody can tell.
_CHANGED = text(
    f"""
    SELECT o.id, a.version_id, a.size, a.sequencer
    FROM {_ARRIVALS} JOIN objects o USING (bucket, key, etag, route)
    WHERE o.state IN ('gone', 'superseded', 'claimed', 'dispatched')
      AND (o.sequencer IS DISTINCT FROM a.sequencer OR o.etag = '')
    ORDER BY o.id FOR UPDATE OF o
    """  # noqa: S608
)
_SEE_AGAIN = text(
    f"""
    UPDATE objects SET
        version_id = :version_id,
        size = COALESCE(:size, size),
        sequencer = :sequencer,
        due_at = now(),
        seen_again = state IN ('claimed', 'dispatched'),
        reason = CASE WHEN state IN ('gone', 'superseded') THEN 'seen again' ELSE reason END,
        state = CASE WHEN state NOT IN ('gone', 'superseded') THEN state
                     WHEN etag = '' THEN 'unresolved' ELSE 'received' END
    WHERE id = :id
    RETURNING bucket, key, etag, route, {_WAKE}, state IN ('received', 'unresolved') AS waits
    """  # noqa: S608
)

_REJECT = text(
    """
    INSERT INTO rejected (sha256, reason, size, body) VALUES (:sha256, :reason, :size, :head)
    ON CONFLICT (sha256) DO UPDATE SET last_at = now(), count = rejected.count + 1
    """
)


def record(connection: Connection, items: Sequence[Arrival | RejectedBody]) -> list[Status]:
    """Store the items within the caller's transaction; the answers are true once it is committed."""
    bodies = [item for item in items if isinstance(item, RejectedBody)]
    # Sorted, as two workers that insert the same rows in different orders would wait for each other.
    for body in sorted(bodies, key=lambda body: body.sha256):
        connection.execute(_REJECT, asdict(body))
    new = _record_arrivals(connection, [item for item in items if isinstance(item, Arrival)])
    return [Status.DEAD if isinstance(item, RejectedBody) else _claim_answer(item, new) for item in items]


def _record_arrivals(connection: Connection, arrivals: list[Arrival]) -> set[Identity]:
    """The identities that are received now and were not before."""
    if not arrivals:
        return set()
    arrivals = sorted(arrivals, key=_identity)
    new: set[Identity] = {tuple(row[:4]) for row in connection.execute(_INSERT, _columns(arrivals))}
    known = [arrival for arrival in arrivals if _identity(arrival) not in new]
    changed = connection.execute(_CHANGED, _columns(known)).mappings().all() if known else ()
    for change in changed:
        row = connection.execute(_SEE_AGAIN, dict(change)).one()
        if row.waits:
            new.add(tuple(row[:4]))
    return new


def _claim_answer(arrival: Arrival, new: set[Identity]) -> Status:
    """Of several equal events of one transaction the first is the recorded one."""
    if _identity(arrival) not in new:
        return Status.DUPLICATE
    new.discard(_identity(arrival))
    return Status.RECORDED


def _identity(arrival: Arrival) -> Identity:
    event = arrival.event
    return event.bucket, event.key, event.etag or "", arrival.route


def _columns(arrivals: list[Arrival]) -> dict[str, list[object]]:
    events = [arrival.event for arrival in arrivals]
    return {
        "route": [arrival.route for arrival in arrivals],
        "bucket": [event.bucket for event in events],
        "key": [event.key for event in events],
        "etag": [event.etag or "" for event in events],
        "version_id": [event.version_id for event in events],
        "size": [event.size for event in events],
        "sequencer": [event.sequencer for event in events],
        "event_name": [event.name for event in events],
        "source": [event.source for event in events],
    }
