"""What all ways in have in common: a reading is given its sinks, and is on disk before it is acknowledged.

Readings that come in together are written together, with one flush to the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.spool import Packed, Spool

GATHER_SECONDS = 0.004  # that a reading waits for others, where they come; a flush takes more than a reading itself
MANY = 5  # readings in that time are worth it
LULL = 4  # flushes in a row of fewer, and they are not waited for any more
LOOK = 200  # flushes of fewer, and one waits again, to see whether there are more by now


class Intake:
    """Of one event loop."""

    def __init__(self, spool: Spool, sinks_for: Callable[[Reading], Sequence[str]]) -> None:
        self._spool = spool
        self._sinks_for = sinks_for
        self._last = 0
        self._waiting: list[tuple[Packed, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._small = LULL  # flushes in a row of fewer than MANY

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
            if self._small < LULL or self._small % LOOK == 0:
                await asyncio.sleep(GATHER_SECONDS)
            group, self._waiting = self._waiting, []
            self._small = 0 if len(group) >= MANY else self._small + 1
            try:
                self._spool.put([packed for packed, _ in group])
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is raised where the reading came in
                for _, done in group:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in group:
                    if not done.done():
                        done.set_result(None)
        self._writing = None
