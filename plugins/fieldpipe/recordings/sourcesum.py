"""The sum of a recording, taken along with those of what is made of it: several at once take little longer than one."""

from __future__ import annotations

from collections.abc import Iterator

from fieldpipe.recordings import sums
from fieldpipe.recordings.reader import Reader

AT_ONCE = 256 * 1024  # bytes
WORTH = 16 * 1024  # bytes of a read that is kept
MOST = 32 * 1024 * 1024  # bytes of all that are kept


class SourceSum:
    """The SHA-256 of everything that `reader` reads.

    What is read for another purpose is kept until its turn comes: processors that share no cache take long to read what
    another one has just read.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: dict[int, bytes] = {}  # by position
        self._sum = sums.begin()
        self._taken = 0

    def along(self, reader: Reader) -> Reader:
        """The same recording for those who read it anyway, from several threads."""
        return _Along(reader, self._kept)

    def up_to(self, position: int) -> Iterator[tuple[sums.Sum, sums.Bytes]]:
        """What lies before a byte and was not given yet, with the sum it belongs to: read when it is asked for.

        A recording that somebody cuts short meanwhile ends where it ends now, but for what was kept before.
        """
        while self._taken < position and (content := self._next(position)):
            self._taken += len(content)
            yield self._sum, content

    def hexdigest(self) -> str:
        """The sum, as soon as what was given is in it; what was not is taken now."""
        for piece in self.up_to(self._reader.size):
            sums.update([piece])
        return self._sum.hexdigest()

    def _next(self, position: int) -> sums.Bytes:
        while self._kept:
            start = min(tuple(self._kept))  # a few, and others add to them
            if start > self._taken:
                position = min(position, start)
                break
            content = memoryview(self._kept[start])
            if start + len(content) <= position:
                del self._kept[start]
            if following := content[self._taken - start : position - start]:
                return following
        return self._reader.read(self._taken, min(AT_ONCE, position - self._taken))


class _Along:
    """A reader whose large reads are kept."""

    def __init__(self, reader: Reader, kept: dict[int, bytes]) -> None:
        self.size = reader.size
        self.expect = reader.expect
        self._reader = reader
        self._kept = kept

    def read(self, start: int, length: int) -> bytes:
        """See Reader."""
        content = self._reader.read(start, length)
        if len(content) >= WORTH and sum(map(len, tuple(self._kept.values()))) < MOST:
            self._kept[start] = content
        return content
