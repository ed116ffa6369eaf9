"""Where results grow before they are published: files in a temporary folder, written in large blocks.

A recording may have thousands of topics: only some files stay open, and what all of them hold back together is
bounded. What is written is hashed on the way, so that no file is read again for that: several files at once, while
another thread writes what comes next, and by the thread that wrote them, whose processor has them in its cache.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from threading import Lock, get_ident
from typing import NamedTuple

from fieldpipe.crashpoints import reach
from fieldpipe.errors import TransientError
from fieldpipe.recordings import sums
from fieldpipe.recordings.room import Room

PART_BUFFER = 256 * 1024  # bytes that one file holds back
TOTAL_BUFFER = 8 * 1024 * 1024  # bytes that all files of a spool hold back
MAX_OPEN = 64  # files
LARGE = 64 * 1024  # bytes of a block that is written at once, without a copy
TOGETHER = 16  # blocks whose sums are taken together, at most
BEHIND = 2  # times that many may wait for their sums: more only fill the caches
Work = Callable[[], object]
Piece = tuple[sums.Sum, bytes | memoryview]
_FULL = (errno.ENOSPC, errno.EDQUOT)


class _Behind(NamedTuple):
    """Pieces whose sums are asked for, what is then to be done, and the thread that asked."""

    pieces: list[Iterable[Piece]]
    work: Work
    thread: int


class Spool:
    """The files of one conversion, until the context ends. One thread at a time writes; any may `catch_up`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pieces: list[Iterable[Piece]] = []  # whose sums are not asked for yet
        self._behind: deque[_Behind] = deque()
        self._catching_up = Lock()
        self._held = 0
        self._parts: list[Part] = []
        self._open: dict[Part, int] = {}  # descriptors, the one that was used last at the end

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def part(self, name: str) -> Part:
        """A new, empty file."""
        made = Part(self.folder / name, self)
        made.path.touch(exist_ok=False)
        self._parts.append(made)
        return made

    def flush(self) -> None:
        """Write what every file holds back."""
        for part in self._parts:
            part.flush()

    def descriptor(self, part: Part) -> int:
        """Of a file, open for appending until some others are asked for."""
        descriptor = self._open.pop(part, None) or os.open(part.path, os.O_WRONLY | os.O_APPEND)
        self._open[part] = descriptor
        if len(self._open) > MAX_OPEN:
            os.close(self._open.pop(next(iter(self._open))))
        return descriptor

    def give_back_room(self) -> bool:
        """Whether files had some that they did not need."""
        return sum(part.give_back_room() for part in self._parts) > 0

    def sum_later(self, pieces: Iterable[Piece]) -> None:
        """Have sums taken of what will not change before what is said to `later` next is done.

        The pieces are asked for only then, by whoever takes the sums.
        """
        self._pieces.append(pieces)
        if len(self._pieces) == TOGETHER:
            self.later(_nothing)

    def later(self, work: Work) -> None:
        """Have something done after the sums of everything that was written before. Raises what `catch_up` raises."""
        self._behind.append(_Behind(self._pieces, work, get_ident()))
        self._pieces = []
        if len(self._behind) > BEHIND:
            with self._catching_up:
                while len(self._behind) > BEHIND:
                    self._take_sums()

    def catch_up(self, *, own: bool) -> bool:
        """Take sums that were asked for, those that come first, unless somebody is doing that; whether there were any.

        Those that this thread asked for; without `own` first some that another one did. Raises MemoryError, and what
        comes of asking for the pieces.
        """
        if not self._behind or not self._catching_up.acquire(blocking=False):
            return False
        try:
            was_done = False
            while self._behind and (not own or self._behind[0].thread == get_ident()):
                self._take_sums()
                was_done = own = True
            return was_done
        finally:
            self._catching_up.release()

    def wait(self) -> None:
        """Until everything is done that was said before. Raises what `catch_up` raises."""
        self.later(_nothing)
        with self._catching_up:
            while self._behind:
                self._take_sums()

    def _take_sums(self) -> None:
        behind = self._behind.popleft()
        following = chain.from_iterable(behind.pieces)
        try:
            while together := [*islice(following, TOGETHER)]:
                sums.update(together)
        finally:
            behind.work()

    def held(self, change: int) -> None:
        """A file holds back that many bytes more (or less)."""
        self._held += change
        if self._held > TOTAL_BUFFER:
            self.flush()


class Part:
    """One file of a spool; `size` counts its bytes, written or held back."""

    def __init__(self, path: Path, spool: Spool) -> None:
        self.path = path
        self.size = 0
        self._spool = spool
        self._written = 0
        self._blocks: list[bytes] = []
        self._held = 0
        self._room = Room()
        self._sum = sums.begin()

    @property
    def sha256(self) -> str:
        """Of what is written, in hex. Raises what Spool.wait raises."""
        self._spool.wait()
        return self._sum.hexdigest()

    def write(self, block: bytes | memoryview) -> None:
        """Append. The block may be reused when what is given to `later` after it is done."""
        size = len(block)
        self.size += size
        if size >= LARGE:
            self.flush()
            self._append(block)
            return
        self._blocks.append(bytes(block))
        self._held += size
        self._spool.held(size)
        if self._held > PART_BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write what is held back."""
        if not self._blocks:
            return
        self._append(b"".join(self._blocks))
        self._blocks.clear()
        self._spool.held(-self._held)
        self._held = 0

    def finish(self) -> None:
        """Write what is held back; nothing comes after it."""
        self.flush()
        self.give_back_room()

    def give_back_room(self) -> bool:
        """Whether it had some. There will be none."""
        return self._room.give_back(self.path, self._written)

    def later(self, work: Callable[[], object]) -> None:
        """See Spool.later."""
        self._spool.later(work)

    def _append(self, block: bytes | memoryview) -> None:
        try:
            self._grow(block)
        except OSError as error:
            if error.errno not in _FULL or not self._spool.give_back_room():
                raise
            os.truncate(self.path, self._written)  # a part of the block may be there
            self._grow(block)
        self._spool.sum_later([(self._sum, block)])
        reach("recordings.part")

    def _grow(self, block: bytes | memoryview) -> None:
        descriptor = self._spool.descriptor(self)
        self._room.make(descriptor, self._written, self._written + len(block))
        _write(descriptor, block)
        self._written += len(block)


def write_new(path: str, content: bytes) -> None:
    """A file that must not exist yet. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        _write(descriptor, content)
    finally:
        os.close(descriptor)


def _write(descriptor: int, block: bytes | memoryview) -> None:
    """All of it: a disk that becomes full takes a part, and says so only when it is asked to take the rest."""
    while (written := os.write(descriptor, block)) < len(block):
        block = block[written:]


def _nothing() -> None:
    """Nothing."""


@contextmanager
def full_disk_is_transient(folder: Path) -> Iterator[None]:
    """A full disk says nothing about the recording: raise TransientError for it."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise TransientError(f"no space left in {folder}: free some, or set TMPDIR to a larger disk") from error
        raise
