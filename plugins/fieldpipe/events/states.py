"""The states of an object row, as data. PROTOCOL: docs/protocol.md; the database enforces the same table (migrations).

A body that can never become a row is kept in the table `rejected` and shown to people as `dead` too.
"""

from enum import StrEnum


class State(StrEnum):
    """Of one object version."""

    UNRESOLVED = "unresolved"  # the event had no ETag: a HEAD will say which version it is about
    RECEIVED = "received"  # waits for a run
    CLAIMED = "claimed"  # member of a stored run that is not yet known to be in Airflow
    DISPATCHED = "dispatched"  # Airflow has the run
    DONE = "done"
    DEAD = "dead"  # a person decides
    GONE = "gone"  # the object is no longer there
    SUPERSEDED = "superseded"  # the object has another ETag now


class RunState(StrEnum):
    """Of one run."""

    CLAIMED = "claimed"  # stored, not yet known to be in Airflow
    DISPATCHED = "dispatched"  # Airflow has it
    CLOSED = "closed"  # its outcome is in the rows


TRANSITIONS: dict[State, frozenset[State]] = {
    State.UNRESOLVED: frozenset({State.RECEIVED, State.GONE}),
    State.RECEIVED: frozenset({State.CLAIMED}),
    State.CLAIMED: frozenset({State.DISPATCHED, State.RECEIVED}),  # received: the run's id was taken
    State.DISPATCHED: frozenset({State.DONE, State.DEAD, State.GONE, State.SUPERSEDED, State.RECEIVED}),
    State.GONE: frozenset({State.RECEIVED, State.UNRESOLVED}),  # seen again
    State.SUPERSEDED: frozenset({State.RECEIVED}),  # seen again
    State.DEAD: frozenset({State.RECEIVED}),  # a person: retry
    State.DONE: frozenset({State.RECEIVED}),  # a person: reprocess
}

TERMINAL = frozenset({State.DONE, State.DEAD, State.GONE, State.SUPERSEDED})
OPEN = frozenset(State) - TERMINAL
