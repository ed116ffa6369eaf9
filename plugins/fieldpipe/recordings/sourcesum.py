"""The sum of a recording, taken along with those of what is made of it: several at once take little longer than one."""

from __future__ import annotations

from collections.abc import Iterator

from fieldpipe.recordings import sums
from fieldpipe.recordings.reader import Reader

AT_ONCE = 256 * 1024  # bytes


class SourceSum:
    """The SHA-256 of everything that `reader` reads."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._sum = sums.begin()
        self._taken = 0

    def up_to(self, position: int) -> Iterator[tuple[sums.Sum, bytes]]:
        """What lies before a byte and was not given yet, with the sum it belongs to: read when it is asked for.

        A recording that somebody cuts short meanwhile ends where it ends now.
        """
        while content := self._reader.read(self._taken, max(0, min(AT_ONCE, position - self._taken))):
            self._taken += len(content)
            yield self._sum, content

    def hexdigest(self) -> str:
        """The sum, as soon as what was given is in it; what was not is taken now."""
        for piece in self.up_to(self._reader.size):
            sums.update([piece])
        return self._sum.hexdigest()
