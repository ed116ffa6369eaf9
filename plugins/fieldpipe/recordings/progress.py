"""A line on a terminal that says how far a recording was read."""

from __future__ import annotations

import time
from threading import Lock
from typing import TextIO

from fieldpipe.recordings.reader import Reader

INTERVAL = 0.1  # seconds between two states of the line
_BAR = 30  # characters
_MIB = 1024 * 1024


class Progress:
    """A reader that shows what was read of another one. The line is gone in the end."""

    def __init__(self, reader: Reader, terminal: TextIO) -> None:
        self.size = reader.size
        self._reader = reader
        self._terminal = terminal
        self._expected = reader.size
        self._done = 0
        self._began = self._shown = time.monotonic()
        self._lock = Lock()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._terminal.write("\r\x1b[K")
        self._terminal.flush()

    def read(self, start: int, length: int) -> bytes:
        """See Reader."""
        content = self._reader.read(start, length)
        with self._lock:
            self._done += len(content)
            if time.monotonic() - self._shown >= INTERVAL:
                self._shown = time.monotonic()
                self._terminal.write(f"\r{self._line(self._shown - self._began)}\x1b[K")
                self._terminal.flush()
        return content

    def expect(self, ranges: list[tuple[int, int]]) -> None:
        """See Reader."""
        self._expected = sum(end - start for start, end in ranges)
        self._reader.expect(ranges)

    def _line(self, seconds: float) -> str:
        done = min(self._done, self._expected)
        share = done / max(self._expected, 1)
        bar = f"{'#' * int(share * _BAR):<{_BAR}}"
        left = int(seconds * (1 - share) / share) if share else 0
        rate = done / _MIB / max(seconds, 0.001)
        return f"[{bar}] {share:4.0%}  {done / _MIB:,.0f} MiB  {rate:,.0f} MiB/s  {left // 60}:{left % 60:02} left"
