"""From the spool to Kafka: the oldest first, for ever; a frame leaves the spool when Kafka has acknowledged it."""

from __future__ import annotations

import random
import time

from fieldpipe import logs
from fieldpipe.cameras.capture.ending import Ending
from fieldpipe.cameras.capture.publisher import FrameTooLarge, KafkaUnavailable, Publisher
from fieldpipe.cameras.capture.spool import Spool, Waiting
from fieldpipe.cameras.capture.status import Tally
from fieldpipe.crashpoints import reach

AT_ONCE = 32  # frames on their way
AT_ONCE_BYTES = 1024 * 1024  # one frame at least; what is on its way when the process is killed comes twice
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before the next attempt, at most; in fact less, by chance

_LOOK_SECONDS = 0.5

log = logs.get(__name__)


class Sender:
    """One thread runs it. `problem` says why nothing can be sent now, if so."""

    def __init__(self, spool: Spool, publisher: Publisher, tally: Tally, ending: Ending) -> None:
        self.problem = ""
        self._spool = spool
        self._publisher = publisher
        self._tally = tally
        self._ending = ending
        self._failed = 0  # attempts, one after the other

    def run(self) -> None:
        """Until the end: its time has come, or it has begun and everything is sent."""
        while not self._ending.is_over():
            begun = self._ending.has_begun()  # before the look: what comes later is not from a picture
            if frames := self._spool.take(AT_ONCE, AT_ONCE_BYTES, _LOOK_SECONDS):
                self._send(frames)
            elif begun:
                break
        self._publisher.close()

    def _send(self, frames: list[Waiting]) -> None:
        read = [(frame, self._spool.read(frame)) for frame in frames]
        whole = {frame: message for frame, message in read if message is not None}
        outcomes = self._publisher.publish(list(whole.values()), self._ending.is_over)
        for frame, outcome in zip(whole, outcomes, strict=True):
            self._settle(frame, outcome)
        problems = [outcome for outcome in outcomes if isinstance(outcome, KafkaUnavailable)]
        self.problem = str(problems[0]) if problems else ""
        self._failed = self._failed + 1 if problems else 0
        if problems:
            self._pause()

    def _settle(self, frame: Waiting, outcome: FrameTooLarge | KafkaUnavailable | None) -> None:
        if outcome is None:
            reach("capture.acknowledged")
            self._spool.remove(frame)
            self._tally.count("sent")
        elif isinstance(outcome, FrameTooLarge):
            self._spool.set_aside(frame, "too-large")
            self._tally.count("too_large")
            log.error("frame_too_large", frame=frame.number, reason=str(outcome))
        else:
            self._spool.give_back([frame])

    def _pause(self) -> None:
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failed, 10))
        if self._ending.wait(random.uniform(0, longest)):  # noqa: S311 -- no secret
            time.sleep(FIRST_PAUSE)  # the last attempts are not made as fast as they fail
