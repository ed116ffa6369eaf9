"""One handler in a thread and an event loop of its own, so that it can hang, block or fail alone.

It is left out, and readings pass it by, while a call does not end (one that only awaits is cancelled at the deadline:
this one blocks the thread), and after three late calls in a row. Then it is tried with a reading now and then, for
which nobody waits, and is back when it is in time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from itertools import count
from typing import NamedTuple

from fieldpipe import logs
from fieldpipe.broker.handlers.handler import Handler
from fieldpipe.broker.reading import Reading, Reply

AT_ONCE = 1000  # calls of one handler
AT_ONCE_BYTES = 64 * 1024 * 1024  # in their payloads
LATE_IN_A_ROW = 3
TRIAL_SECONDS = 10.0
GRACE_SECONDS = 2.0  # for what is under way when it ends
TELL_EVERY = 1000  # failures in a row: a line for the first, and for every thousandth

log = logs.get(__name__)


class Counts(NamedTuple):
    """Of a handler, since the start. `skipped`: readings that passed it by. Whether it is left out now."""

    asked: int
    failed: int
    late: int
    skipped: int
    out: bool


class Answer(NamedTuple):
    """What became of a call. `late`: it had not ended at the deadline."""

    reply: Reply | None
    late: bool


class _Call(NamedTuple):
    """One that has begun, when (by the monotonic clock), and how large its payload is."""

    begun: float
    size: int


class Lane:
    """A handler and its thread, which starts at once."""

    def __init__(
        self, name: str, handler: Handler, deadline_seconds: float, trial_seconds: float = TRIAL_SECONDS
    ) -> None:
        self.name = name
        self._handler = handler
        self._deadline = deadline_seconds
        self._trial_seconds = trial_seconds
        self._lock = threading.Lock()
        self._under_way: dict[int, _Call] = {}  # in order
        self._bytes = 0
        self._numbers = count()
        self._asked = self._failed = self._late = self._skipped = 0
        self._failed_in_a_row = self._late_in_a_row = 0
        self._out = self._closed = False
        self._tried = 0.0
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name=f"handler {name}", daemon=True)
        self._thread.start()

    def call(self, reading: Reading) -> Future[Answer] | None:
        """Its answer, in future; never an exception. None: nobody waits for it, it is left out or has enough to do."""
        now = time.monotonic()
        with self._lock:
            out = self._judge(now)
            trial = out and not self._under_way and now - self._tried >= self._trial_seconds
            if self._closed or self._is_busy(len(reading.payload)) or (out and not trial):
                self._skipped += 1
                return None
            self._tried = now
            self._asked += 1
            number, call = next(self._numbers), _Call(now, len(reading.payload))
            self._under_way[number] = call
            self._bytes += call.size
            answer = asyncio.run_coroutine_threadsafe(self._on(number, now + self._deadline, reading), self._loop)
        return None if trial else answer

    def counts(self) -> Counts:
        """So far."""
        with self._lock:
            out = self._judge(time.monotonic())
            return Counts(self._asked, self._failed, self._late, self._skipped, out)

    def close(self) -> None:
        """Let it finish what it does, for GRACE_SECONDS. `join` afterwards."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._loop.call_soon_threadsafe(self._end.set)

    def join(self, seconds: float) -> bool:
        """Whether its thread has ended within that time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        await self._end.wait()
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.sleep(0)  # else they would complain that they never heard of it

    async def _on(self, number: int, deadline: float, reading: Reading) -> Answer:
        in_time = time.monotonic() <= deadline  # not, when a call before this one blocked the thread
        time_out = asyncio.timeout_at(deadline)
        reply: Reply | None = None
        failure: BaseException | None = None
        try:
            if in_time:
                async with time_out:
                    reply = _checked(await self._handler.on(reading))
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 -- it is somebody else's code
            failure = None if time_out.expired() else error
        finally:
            late = time_out.expired() or time.monotonic() > deadline
            self._settle(number, failure, late=late, asked=in_time)
        return Answer(reply, late)

    def _settle(self, number: int, failure: BaseException | None, *, late: bool, asked: bool) -> None:
        with self._lock:
            self._bytes -= self._under_way.pop(number).size
            self._late += late
            self._failed += failure is not None
            if asked:
                self._late_in_a_row = self._late_in_a_row + 1 if late else 0
                self._failed_in_a_row = self._failed_in_a_row + 1 if failure else 0
            in_a_row = self._failed_in_a_row
            self._judge(time.monotonic())
        if failure and in_a_row % TELL_EVERY == 1:
            log.error("handler_failed", handler=self.name, in_a_row=in_a_row, exc_info=failure)

    def _is_busy(self, size: int) -> bool:
        calls = len(self._under_way)
        return calls >= AT_ONCE or (calls > 0 and self._bytes + size > AT_ONCE_BYTES)

    def _judge(self, now: float) -> bool:
        """Whether it is left out; a change is told. Under the lock."""
        oldest = next(iter(self._under_way.values()), None)
        blocked = oldest is not None and now - oldest.begun > self._deadline
        out = blocked or self._late_in_a_row >= LATE_IN_A_ROW
        if self._closed:
            return out
        if out and not self._out:
            log.error("handler_left_out", handler=self.name, reason="a call does not end" if blocked else "it is late")
        elif self._out and not out:
            log.warning("handler_back", handler=self.name)
        self._out = out
        return out


def _checked(reply: object) -> Reply | None:
    if reply is None or isinstance(reply, Reply):
        return reply
    raise TypeError(f"`on` returned a {type(reply).__name__}: it has to be a Reply or None")
