"""All handlers are asked at once; the first answer, in the order of the handlers, counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from fieldpipe import logs
from fieldpipe.broker.handlers.handler import Handler
from fieldpipe.broker.handlers.lane import GRACE_SECONDS, TRIAL_SECONDS, Answer, Counts, Lane
from fieldpipe.broker.reading import Reading, Reply
from fieldpipe.errors import TransientError

log = logs.get(__name__)


class HandlersTooSlow(TransientError):
    """The time was up, some had not answered yet, and of the others none had anything to say. The reading is stored."""


class Handlers:
    """Those of a broker, by name, in the order in which their answers count."""

    def __init__(
        self, handlers: Mapping[str, Handler], deadline_seconds: float, trial_seconds: float = TRIAL_SECONDS
    ) -> None:
        self._deadline = deadline_seconds
        self._lanes = [Lane(name, handler, deadline_seconds, trial_seconds) for name, handler in handlers.items()]

    async def ask(self, reading: Reading) -> Reply | None:
        """The first answer in order, as soon as it is certain. Raises HandlersTooSlow after the deadline.

        Those behind it go on. At the deadline whoever has not answered has nothing to say.
        """
        ends = time.monotonic() + self._deadline
        begun = [(lane.name, lane.call(reading)) for lane in self._lanes]
        calls = {name: asyncio.wrap_future(call) for name, call in begun if call is not None}
        late: list[str] = []
        for name, call in calls.items():
            await asyncio.wait([call], timeout=max(ends - time.monotonic(), 0))
            answer = _answer(call)
            if answer.reply is not None:
                return answer.reply
            if answer.late:
                late.append(name)
        if late:
            raise HandlersTooSlow(f"no answer within {self._deadline:g} s from {', '.join(late)}")
        return None

    def counts(self) -> Mapping[str, Counts]:
        """Of each handler, since the start."""
        return {lane.name: lane.counts() for lane in self._lanes}

    def close(self) -> None:
        """End them; one that blocks is left behind."""
        for lane in self._lanes:
            lane.close()
        ends = time.monotonic() + 2 * GRACE_SECONDS
        for lane in self._lanes:
            if not lane.join(max(ends - time.monotonic(), 0)):
                log.warning("handler_hangs", handler=lane.name)


def _answer(call: asyncio.Future[Answer]) -> Answer:
    if not call.done():
        return Answer(None, late=True)
    return Answer(None, late=False) if call.cancelled() else call.result()
