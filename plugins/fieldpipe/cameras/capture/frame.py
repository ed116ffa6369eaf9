"""A picture with its time, and what gives such."""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol

JPEG = b"\xff\xd8"  # what every JPEG begins with


class Frame(NamedTuple):
    """A JPEG picture, and when it was taken: in microseconds since 1970."""

    time: int
    picture: bytes


class Source(Protocol):
    """Gives frames, one after the other."""

    def capture(self) -> Frame:
        """The next one. Raises TransientError when there is none now, PermanentError when there never will be."""

    def close(self) -> None:
        """No more of them."""


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
