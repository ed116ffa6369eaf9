"""When it ends: first there are no more pictures, then no more sending."""

from __future__ import annotations

import math
import threading
import time


class Ending:
    """Shared by the threads of a sensor. It may begin more than once; the earliest end counts."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._at = math.inf

    def begin(self, seconds: float = math.inf) -> None:
        """No more pictures from now on; sending goes on for so long, or until all is sent.

        May be called by a signal's handler: the main thread must not wait for it.
        """
        self._at = min(self._at, time.monotonic() + seconds)
        self._begun.set()

    def has_begun(self) -> bool:
        """Whether there are no more pictures."""
        return self._begun.is_set()

    def is_over(self, grace: float = 0.0) -> bool:
        """Whether the time for sending is over, since so many seconds."""
        return time.monotonic() >= self._at + grace

    def wait(self, timeout: float) -> bool:
        """Until it has begun, or so many seconds; returns whether it has."""
        return self._begun.wait(timeout)
