"""A pod's log: a file of lines, each with the time at which it was written, read while it grows.

A line in the file is `2026-11-01T12:00:00.123456789Z text`: RFC 3339 with nine digits, so that times compare as text.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

STAMP_LENGTH = 30
LONGEST_LINE = 64 * 1024  # bytes; a longer one is cut into several
LARGEST_FILE = 64 * 1024 * 1024  # bytes; a pod that writes more than that must not fill the disk
_BATCH = 64 * 1024


@dataclass(frozen=True)
class LogOptions:
    """What a client asks for (the parameters of GET .../log): the last lines, from a time on, at most so many bytes."""

    follow: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since: str = ""  # as in the file
    limit_bytes: int | None = None


def log_time(nanoseconds: int) -> str:
    """A time since the epoch as it is written in the file."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


class LogFile:
    """Written by one process, read by any number of clients."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO = path.open("wb", buffering=0)
        self._unfinished = b""
        self._written = 0
        self._closed = False
        self._grown = asyncio.Event()

    def write(self, data: bytes) -> None:
        """Add what the process wrote; the start of a line waits for its end."""
        *lines, last = (self._unfinished + data).split(b"\n")
        *begun, self._unfinished = _cut(last)
        if finished := [piece for line in lines for piece in _cut(line)] + begun:
            self._add(finished)

    def end_line(self) -> None:
        """Add a last line that the process did not end."""
        if self._unfinished:
            self._add([self._unfinished])
            self._unfinished = b""

    def close(self) -> None:
        """Nothing more will come: followers read to the end and stop."""
        self._closed = True
        self._file.close()
        self._wake()

    def last_words(self, lines: int = 80, size: int = 2048) -> str:
        """The end of the log without times, for a termination message (the limits are Kubernetes')."""
        with self.path.open("rb") as file:
            file.seek(_start_of_tail(file, lines))
            text = b"".join(line[STAMP_LENGTH + 1 :] for line in file)
        return text[-size:].decode(errors="replace")

    async def read(self, options: LogOptions) -> AsyncIterator[bytes]:
        """Whole lines in batches of about 64 KiB; with `follow` as they come, until the log is closed."""
        left = options.limit_bytes
        skip = 0 if options.timestamps else STAMP_LENGTH + 1
        with self.path.open("rb") as file:
            _seek(file, options)
            while True:
                grown, closed = self._grown, self._closed
                batch = b"".join(line[skip:] for line in file.readlines(_BATCH))[:left]
                if batch:
                    left = left if left is None else left - len(batch)
                    yield batch
                elif closed or not options.follow:
                    return
                else:
                    await grown.wait()
                if left == 0:
                    return

    def _add(self, lines: list[bytes]) -> None:
        if self._written > LARGEST_FILE:
            return
        now = log_time(time.time_ns()).encode()
        text = b"".join(b"%s %s\n" % (now, line) for line in lines)
        self._written += len(text)
        if self._written > LARGEST_FILE:
            text += b"%s (the log is full: the rest is dropped)\n" % now
        self._file.write(text)
        self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()


def _cut(line: bytes) -> list[bytes]:
    return [line[start : start + LONGEST_LINE] for start in range(0, len(line), LONGEST_LINE)] or [b""]


def _seek(file: BufferedReader, options: LogOptions) -> None:
    if options.tail_lines is not None:
        file.seek(_start_of_tail(file, options.tail_lines))
    if options.since:
        wanted = options.since.encode()
        position = file.tell()
        for line in file:
            if line[:STAMP_LENGTH] >= wanted:
                break
            position += len(line)
        file.seek(position)


def _start_of_tail(file: BufferedReader, lines: int) -> int:
    """Where the last lines begin, found from the end so that a long log costs no more than a short one."""
    position = end = file.seek(0, os.SEEK_END)
    missing = lines + 1  # the file ends with a line end: the one before the first wanted line is one more
    while position > 0:
        size = min(_BATCH, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            missing -= 1
            if missing == 0:
                return position + at + 1
    return 0 if lines else end
