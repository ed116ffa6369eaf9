"""What a sink is. It is called from a thread of its own, so it may block, and hurts nobody else when it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fieldpipe.broker.reading import Reading
from fieldpipe.errors import PermanentError, TransientError


class SinkRefused(PermanentError):
    """The sink will never take this. Of several readings each is tried alone, a single one becomes a dead letter."""


class SinkUnavailable(TransientError):
    """The sink did not take it now. `retry_after` are the seconds it asked us to wait, if it did."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Sink(Protocol):
    """One place that readings are delivered to."""

    name: str
    at_once: int
    """How many readings one call may carry. 1 where the sink cannot tell a repeated reading from a new one."""
    settle_seconds: float
    """How long the first reading of a call may wait for others; 0 where it is delivered at once."""

    def deliver(self, readings: Sequence[Reading]) -> None:
        """Deliver them all, in this order. When it returns, they are there; nobody repeats it.

        Called again with the same readings (the same ids) after any failure, also after a crash in the middle: where
        the sink has keys, the id is one. Raises SinkRefused, SinkUnavailable; whatever else it raises is taken for
        SinkUnavailable, and logged as a bug. Has to end by itself: every wait has a timeout.
        """

    def close(self) -> None:
        """Let go of connections. Nothing is delivered afterwards."""
