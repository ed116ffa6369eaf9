"""What all ways in have in common: a reading is given its sinks, and is on disk before it is acknowledged.

What comes in while the disk is busy is written together, with one flush, when it is ready again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.spool import Packed, Spool

MANY = 3  # readings that wait for the disk at once: others are on their way
GATHER_SECONDS = 0.004  # that they wait for these; a flush for every few readings costs more than this brings


class Intake:
    """Of one event loop."""

    def __init__(self, spool: Spool, sinks_for: Callable[[Reading], Sequence[str]]) -> None:
        self._spool = spool
        self._sinks_for = sinks_for
        self._last = 0
        self._waiting: list[tuple[Packed, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def take(self, reading: Reading) -> Reading:
        """Returns when it is on disk: as it was stored. Raises SpoolFull, SpoolUnavailable: then nothing was stored.

        No two of this process have the same time: for databases where measurement, tags and time are a point's
        identity it is one.
        """
        stored = reading if reading.received > self._last else replace(reading, received=self._last + 1)
        self._last = stored.received
        sinks = self._sinks_for(stored)
        if sinks:
            done = asyncio.get_running_loop().create_future()
            self._waiting.append((self._spool.pack(stored, sinks), done))
            if self._writing is None:
                self._writing = asyncio.create_task(self._write())
            await done
        return stored

    async def _write(self) -> None:
        """Until nothing waits. Who waits may have gone away meanwhile: its reading is stored all the same."""
        while self._waiting:
            if len(self._waiting) >= MANY:
                await asyncio.sleep(GATHER_SECONDS)
            group, self._waiting = self._waiting, []
            try:
                await asyncio.wrap_future(self._spool.put([packed for packed, _ in group]))
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is raised where the reading came in
                for _, done in group:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in group:
                    if not done.done():
                        done.set_result(None)
        self._writing = None
