"""The sensor at work: one thread takes pictures into the spool, one sends them from there, the third looks after both.

Whatever becomes of the network, pictures are taken; whatever becomes of the camera, what it took is sent. Memory holds
one picture and what is just being sent. After a crash, frames that Kafka had acknowledged and that were still in the
spool are sent once more: such duplicates are the same in every byte, the time included.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

from fieldpipe import logs
from fieldpipe.cameras.capture import schedule
from fieldpipe.cameras.capture.ending import Ending
from fieldpipe.cameras.capture.frame import Source
from fieldpipe.cameras.capture.publisher import Publisher
from fieldpipe.cameras.capture.sender import Sender
from fieldpipe.cameras.capture.settings import Settings
from fieldpipe.cameras.capture.spool import Spool
from fieldpipe.cameras.capture.status import Tally

STOP_SECONDS = 5.0  # that are left for sending when it is to stop

_STATUS_SECONDS = 2.0  # a small file beside the frames, and only if something has changed
_LINE_SECONDS, _NEWS_SECONDS = 60.0, 5.0  # between two lines of the log; when there is a new problem, or none any more
_LOOK_SECONDS = 0.25
_HANGING_SECONDS = 3.0  # after the end: a thread that still waits for the camera or for Kafka is left behind

log = logs.get(__name__)


class Sensor:
    """Has the spool until `run` has returned."""

    def __init__(self, settings: Settings, ending: Ending) -> None:
        """Raises TransientError when the spool cannot be used."""
        self._settings = settings
        self._ending = ending
        self._tally = Tally(settings.spool.folder)
        self._spool = Spool(settings.spool, self._tally)
        self._sender = Sender(self._spool, Publisher(settings.stream), self._tally, ending)
        self._failures: list[BaseException] = []

    def run(self, open_source: Callable[[], Source], frames: int | None = None) -> None:
        """Until the end, which begins by itself after so many frames. Raises what the source or the disk raises."""
        threads = [self._thread(lambda: self._capture(open_source, frames)), self._thread(self._sender.run)]
        log.info("camera_started", topic=self._settings.stream.topic, **self._status())
        try:
            self._look_after(threads)
        finally:
            self._tally.write(self._status())
            self._spool.close()
        log.info("camera_stopped", **self._tally.counts(), **self._status())
        if self._failures:
            raise self._failures[0]

    def _capture(self, open_source: Callable[[], Source], frames: int | None) -> None:
        due: float | None = None
        with closing(open_source()) as source:
            for _ in itertools.count() if frames is None else range(frames):
                due = schedule.wait(self._settings.plan, due, self._ending)
                if due is None:
                    break
                frame = source.capture()
                self._tally.count("captured")
                self._spool.put(self._settings.packing.pack(*frame), frame.time)
        self._ending.begin()

    def _look_after(self, threads: list[threading.Thread]) -> None:
        """Until they have ended."""
        synced = written = said = time.monotonic()
        problem, dropped = "", self._tally.counts()["dropped"]
        while any(thread.is_alive() for thread in threads) and not self._ending.is_over(_HANGING_SECONDS):
            for thread in threads:
                thread.join(_LOOK_SECONDS / len(threads))
            now = time.monotonic()
            if self._settings.spool.sync and now >= synced + self._settings.spool.sync:
                self._spool.sync()
                synced = now
            if now >= written + _STATUS_SECONDS:
                self._tally.write(self._status())
                written = now
            if now >= said + (_LINE_SECONDS if bool(problem) == bool(self._sender.problem) else _NEWS_SECONDS):
                problem, said, counts = self._sender.problem, now, self._tally.counts()
                line = log.warning if problem or counts["dropped"] > dropped else log.info
                line("camera_status", **counts, **self._status())
                dropped = counts["dropped"]

    def _status(self) -> dict[str, object]:
        waiting, size, oldest = self._spool.waiting()
        since = datetime.fromtimestamp(oldest / 1e6, UTC).isoformat() if oldest is not None else None
        return {"waiting": waiting, "spool_bytes": size, "oldest": since, "problem": self._sender.problem}

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 -- raised again by the main thread
                self._failures.append(error)
                self._ending.begin(STOP_SECONDS)

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread
