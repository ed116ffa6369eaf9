"""What a handler is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from fieldpipe.broker.reading import Reading, Reply


class Handler(ABC):
    """Made once, without arguments, when the broker starts; it lives in a thread and an event loop of its own."""

    @abstractmethod
    async def on(self, reading: Reading) -> Reply | None:
        """Called once for each reading, when it is on disk; for several at a time, if it awaits. None: nothing to say.

        Whatever it raises is logged. What has not ended at the deadline is cancelled.
        """
