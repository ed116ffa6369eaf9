"""Where frames wait on disk until Kafka has them: one file for each, in the order in which they were taken.

    <number, 16 digits>.frame   one message (framefile.py)
    too-large/, damaged/        frames that cannot be sent; moved back, they are tried again at the next start

The number is the time in microseconds, or one more than the last. A process that is killed loses none; `sync` makes
them safe from a power cut. The whole folder stays below its limit: when it is full, what was set aside goes first, then
the oldest frame, or the new one, as it was chosen. Each is counted as dropped.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from fieldpipe import logs
from fieldpipe.cameras.capture import framefile
from fieldpipe.cameras.capture.settings import SpoolSettings
from fieldpipe.cameras.capture.status import Tally
from fieldpipe.crashpoints import reach
from fieldpipe.errors import TransientError

Aside = Literal["too-large", "damaged"]

ASIDE: tuple[Aside, ...] = ("too-large", "damaged")

_FULL = (errno.ENOSPC, errno.EDQUOT)

log = logs.get(__name__)


class Waiting(NamedTuple):
    """A frame of the spool. `number` says when it was taken."""

    number: int
    size: int  # bytes on disk


class Spool:
    """One process has it: one thread puts frames in, another takes them out."""

    def __init__(self, settings: SpoolSettings, tally: Tally) -> None:
        """Raises TransientError when another process has it, or the folder cannot be written."""
        self._folder = settings.folder
        self._limit = settings.limit
        self._drops_oldest = settings.when_full == "oldest"
        self._at_once = settings.sync == 0
        self._tally = tally
        self._changed = threading.Condition()
        self._frames: OrderedDict[int, int] = OrderedDict()  # number: bytes on disk
        self._taken: set[int] = set()
        self._unsynced: set[int] = set()
        self._aside: OrderedDict[Path, int] = OrderedDict()
        self._bytes = 0  # on disk, of both
        self._last = 0  # number
        try:
            self._lock = framefile.locked(self._folder)
            self._recover()
        except OSError as error:
            raise TransientError(f"the spool {self._folder} cannot be used: {error}") from error

    def put(self, message: bytes, time: int) -> bool:
        """Keep a message; False: it was dropped. Raises TransientError when the disk does not work."""
        need = framefile.size(message)
        with self._changed:
            if not self._make_room(need):
                self._tally.count("dropped")
                return False
            number = self._last = max(self._last + 1, time)
            self._bytes += need
        while (error := self._written(number, message)) is not None:
            with self._changed:
                full = error.errno in _FULL
                if full and self._drop_one():
                    continue
                self._bytes -= need
                if not full:
                    raise TransientError(f"the spool {self._folder} cannot be written: {error}") from error
                self._tally.count("dropped")
                return False
        reach("capture.spooled")
        with self._changed:
            self._frames[number] = need
            self._unsynced.add(number)
            self._changed.notify_all()
        if self._at_once:
            self.sync()
        return True

    def take(self, most: int, most_bytes: int, seconds: float) -> list[Waiting]:
        """The oldest ones that nobody has taken (one at least, whatever its size), waited for; none: there is none."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._frames) > len(self._taken), seconds)
            taken: list[Waiting] = []
            for number, size in self._frames.items():
                if number in self._taken:
                    continue
                if taken and (len(taken) == most or sum(each.size for each in taken) + size > most_bytes):
                    break
                taken.append(Waiting(number, size))
            self._taken.update(each.number for each in taken)
            return taken

    def read(self, frame: Waiting) -> bytes | None:
        """A frame's message; None: it was damaged, and is set aside."""
        message = framefile.read(self._path(frame.number))
        if message is not None:
            return message
        self.set_aside(frame, "damaged")
        self._tally.count("damaged")
        log.error("frame_damaged", frame=frame.number, folder=str(self._folder / "damaged"))
        return None

    def give_back(self, frames: Iterable[Waiting]) -> None:
        """They were not sent."""
        with self._changed:
            self._taken.difference_update(frame.number for frame in frames)
            self._changed.notify_all()

    def remove(self, frame: Waiting) -> None:
        """It was sent."""
        with self._changed:
            self._forget(frame.number)
            self._bytes -= frame.size
        self._path(frame.number).unlink(missing_ok=True)

    def set_aside(self, frame: Waiting, where: Aside) -> None:
        """It cannot be sent."""
        there = self._folder / where / self._path(frame.number).name
        try:
            self._path(frame.number).replace(there)
        except OSError:
            self.remove(frame)
            return
        with self._changed:
            self._forget(frame.number)
            self._aside[there] = frame.size

    def sync(self) -> None:
        """All that is in the spool now is safe from a power cut when this returns."""
        with self._changed:
            numbers, self._unsynced = sorted(self._unsynced), set()
        try:
            for number in numbers:
                with suppress(FileNotFoundError):  # sent meanwhile
                    framefile.sync(self._path(number))
            if numbers:
                framefile.sync(self._folder)
        except OSError as error:
            raise TransientError(f"the spool {self._folder} cannot be written: {error}") from error

    def waiting(self) -> tuple[int, int, int | None]:
        """How many frames wait, the bytes of the whole folder, and when the oldest was taken."""
        with self._changed:
            return len(self._frames), self._bytes, next(iter(self._frames), None)

    def close(self) -> None:
        """Let another process have it; what is in it is safe."""
        self.sync()
        os.close(self._lock)

    def _recover(self) -> None:
        """What the process before this one has left."""
        for where in ASIDE:
            (self._folder / where).mkdir(exist_ok=True)
            self._aside |= framefile.found(self._folder / where)
        frames = framefile.found(self._folder)
        self._frames |= {framefile.number(path): size for path, size in frames.items()}
        self._unsynced = set(self._frames)
        self._bytes = sum(self._frames.values()) + sum(self._aside.values())
        self._last = max(map(framefile.number, [*frames, *self._aside]), default=0)
        while self._bytes > self._limit and self._drop_one():
            pass

    def _make_room(self, need: int) -> bool:
        if need > self._limit:
            return False
        while self._bytes + need > self._limit:
            if not self._drop_one():
                return False
        return True

    def _drop_one(self) -> bool:
        """Something old, if that may be: not what is just being sent."""
        if self._aside:
            file, size = self._aside.popitem(last=False)
        elif self._drops_oldest and len(self._frames) > len(self._taken):
            number = next(number for number in self._frames if number not in self._taken)
            file, size = self._path(number), self._frames[number]
            self._forget(number)
        else:
            return False
        file.unlink(missing_ok=True)
        self._bytes -= size
        self._tally.count("dropped")
        return True

    def _written(self, number: int, message: bytes) -> OSError | None:
        try:
            framefile.write(self._path(number), message)
        except OSError as error:
            return error
        return None

    def _forget(self, number: int) -> None:
        self._frames.pop(number, None)
        self._taken.discard(number)
        self._unsynced.discard(number)

    def _path(self, number: int) -> Path:
        return self._folder / framefile.name(number)
