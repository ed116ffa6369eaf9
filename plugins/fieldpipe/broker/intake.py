"""What all ways in have in common: a reading is given its sinks, and is on disk before it is acknowledged."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.spool import Spool


class Intake:
    """Called from any event loop."""

    def __init__(self, spool: Spool, sinks_for: Callable[[Reading], Sequence[str]]) -> None:
        self._spool = spool
        self._sinks_for = sinks_for
        self._last = 0
        self._lock = threading.Lock()

    async def take(self, reading: Reading) -> Reading:
        """Returns when it is on disk: as it was stored. Raises SpoolFull, SpoolUnavailable: then nothing was stored.

        No two of this process have the same time: for databases where measurement, tags and time are a point's
        identity it is one.
        """
        with self._lock:
            self._last = max(reading.received, self._last + 1)
            stored = replace(reading, received=self._last)
        sinks = self._sinks_for(stored)
        if sinks:
            await asyncio.wrap_future(self._spool.put(stored, sinks))
        return stored
