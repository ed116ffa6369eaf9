"""Sinks in Kafka Connect: registered, watched, restarted and removed, and never those of somebody else."""

from __future__ import annotations

import time
from typing import Literal

from fieldpipe.cameras.connect import Sink
from fieldpipe.cameras.connect_rest import Connect, ConnectUnavailable, Status
from fieldpipe.errors import PermanentError

Outcome = Literal["created", "updated", "unchanged"]

POLL_SECONDS = 0.2
SETTLE_SECONDS = 3.0  # a worker's states come through a topic of Kafka's: a failure may be that of before


class ForeignConnector(PermanentError):
    """A connector of this name is there, and is another one."""


class SinkFailed(PermanentError):
    """A sink's connector or task has failed; the message says which, and why."""


def register(connect: Connect, sink: Sink) -> Outcome:
    """Make it so that this sink is there. Raises ForeignConnector, ConnectUnavailable."""
    wanted = sink.configuration()
    existing = existing_configuration(connect, sink)
    if existing is None:
        connect.create(sink.name, wanted)
        return "created"
    if existing == wanted:
        return "unchanged"
    connect.update(sink.name, wanted)
    return "updated"


def remove(connect: Connect, sink: Sink) -> bool:
    """Delete this sink; whether there was one. Raises ForeignConnector."""
    if existing_configuration(connect, sink) is None:
        return False
    connect.remove(sink.name)
    return True


def existing_configuration(connect: Connect, sink: Sink) -> dict[str, str] | None:
    """What the sink's connector has now; None: there is none. Raises ForeignConnector."""
    existing = connect.configuration(sink.name)
    differences = sink.differences(existing) if existing is not None else []
    if differences:
        raise ForeignConnector(
            f"connector {sink.name} is another one, and left as it is: {'; '.join(differences)}. Choose another "
            "--prefix, or remove that connector first"
        )
    return existing


def await_running(connect: Connect, name: str, seconds: float) -> Status:
    """Wait until the connector and its tasks run. Raises SinkFailed, or ConnectUnavailable when the time is up."""
    begin = time.monotonic()
    while True:
        status = connect.status(name)
        waited = time.monotonic() - begin
        if status is not None and status.is_running:
            return status
        if status is not None and status.failed and waited > min(seconds, SETTLE_SECONDS):
            reasons = "; ".join(f"{part.name}: {part.reason}" for part in status.failed)
            raise SinkFailed(f"connector {name} failed: {reasons}. Mend that, then restart it: connect_sinks restart")
        if waited > seconds:
            states = ", ".join(f"{part.name} {part.state}" for part in status.parts) if status else "no state yet"
            raise ConnectUnavailable(f"connector {name} does not run after {seconds:.0f} s: {states}")
        time.sleep(POLL_SECONDS)
