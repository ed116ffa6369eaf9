"""What a way in is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from fieldpipe.broker.reading import Reading

Take: TypeAlias = Callable[[Reading], Awaitable[object]]
"""Returns when the reading is on disk. Raises TransientError (it is not, try again) or BadReading."""


class Entrance(Protocol):
    """One way in, made with its settings and with what takes readings. It acknowledges a reading that was taken."""

    async def start(self) -> None:
        """Let readings in. Raises ConfigurationError where the settings are wrong."""

    async def stop(self) -> None:
        """When this returns, nothing comes in any more, and what came in was acknowledged or was not taken."""
