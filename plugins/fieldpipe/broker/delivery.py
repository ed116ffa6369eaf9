"""Deliveries: a thread for each sink, with the sink's own queue in the spool. A slow or dead sink delays no other.

In order, and again until the sink has it: what it refuses is a dead letter with the reason, what it does not take now
waits, for longer after each failure, as long as it asks for if it asks.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence

from fieldpipe import logs
from fieldpipe.broker.sinks.sink import Sink, SinkRefused, SinkUnavailable
from fieldpipe.broker.spool import Queued, Spool
from fieldpipe.crashpoints import reach
from fieldpipe.errors import TransientError

BATCH_BYTES = 16 * 1024 * 1024  # of the readings of one call, if there is more than one; they are in memory a few times
LONGEST_PAUSE = 60.0  # seconds between two attempts, at most; in fact less, by chance
LONGEST_WISH = 3600.0  # seconds that a sink may ask us to wait
IDLE_SECONDS = 5.0  # another process may have put dead letters back into the queue

log = logs.get(__name__)


class Delivery:
    """Of one sink. `failures` are its attempts since it last took something: 0 means that it works."""

    def __init__(self, sink: Sink, spool: Spool, stop: threading.Event) -> None:
        self.sink = sink
        self.failures = 0
        self._spool = spool
        self._stop = stop
        self._thread = threading.Thread(target=self._run, name=f"sink {sink.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for its end, after `stop` was set and the spool woken; False when the sink still hangs."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        seen = 0
        while not self._stop.is_set():
            try:
                queued = self._gathered()
                if queued:
                    self._deliver(queued)
                    self.failures = 0
            except TransientError as error:
                self._pause(error)
            except Exception:  # a sink's bug is its own: the others go on, the readings stay, a person is told
                log.exception("sink_bug", sink=self.sink.name)
                self._pause(SinkUnavailable("a bug in the sink, see above"))
            else:
                if not queued:
                    seen = self._spool.wait(seen, IDLE_SECONDS)
        self.sink.close()

    def _gathered(self) -> list[Queued]:
        """The next readings, when there are enough of them, or the first has waited for others long enough."""
        queued = self._spool.first(self.sink.name, self.sink.at_once, BATCH_BYTES)
        size = sum(len(each.reading.payload) for each in queued if each.reading)
        if 0 < len(queued) < self.sink.at_once and size < BATCH_BYTES // 2 and self.sink.settle_seconds:
            age = (time.time_ns() - queued[0].received) / 1e9
            self._stop.wait(min(max(self.sink.settle_seconds - age, 0), self.sink.settle_seconds))
            queued = self._spool.first(self.sink.name, self.sink.at_once, BATCH_BYTES)
        return queued

    def _deliver(self, queued: Sequence[Queued]) -> None:
        """What the sink refuses as a whole is tried in halves, down to the one reading that it does not like."""
        damaged = [each for each in queued if each.reading is None]
        for each in damaged:
            self._bury(each, "the disk did not keep it: its checksum is another one")
        whole = [each for each in queued if each.reading is not None]
        if not whole:
            return
        try:
            self.sink.deliver([each.reading for each in whole if each.reading is not None])
        except SinkRefused as error:
            if len(whole) == 1:
                self._bury(whole[0], str(error))
                return
            half = len(whole) // 2
            self._deliver(whole[:half])
            self._deliver(whole[half:])
        else:
            reach("broker.delivered", self.sink.name)
            self._settle([each.position for each in whole])

    def _settle(self, positions: Sequence[int]) -> None:
        """Until it is on disk: what a sink has is not delivered again because the disk is full, or the broker ends."""
        while True:
            try:
                self._spool.settle(self.sink.name, positions)
            except TransientError as error:
                if self._stop.is_set():
                    raise
                self._pause(error)
            else:
                return

    def _bury(self, queued: Queued, reason: str) -> None:
        reading = queued.reading.id if queued.reading else None
        log.error("dead_letter", sink=self.sink.name, position=queued.position, reading=reading, reason=reason)
        self._spool.bury(self.sink.name, queued.position, reason)

    def _pause(self, error: TransientError) -> None:
        self.failures += 1
        wish = getattr(error, "retry_after", None)
        pause = random.uniform(0.5, 1) * min(LONGEST_PAUSE, 0.1 * 2 ** min(self.failures, 16))  # noqa: S311 -- no secret
        seconds = pause if wish is None else min(wish, LONGEST_WISH) + random.uniform(0, 0.1)  # noqa: S311 -- no secret
        waits = {"attempts": self.failures, "seconds": round(seconds, 1)}
        log.warning("sink_waits", sink=self.sink.name, reason=str(error), **waits)
        self._stop.wait(seconds)
