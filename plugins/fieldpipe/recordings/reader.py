"""Where a recording's bytes come from: ranges, in any order, from several threads."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Protocol

from fieldpipe.errors import PermanentError


class Reader(Protocol):
    """A recording of `size` bytes."""

    size: int

    def read(self, start: int, length: int) -> bytes:
        """A range; less of it where the recording ends."""
        ...

    def expect(self, ranges: list[tuple[int, int]]) -> None:
        """What will be read, as (start, end) in ascending order: a hint for those who can fetch ahead."""
        ...


class LocalReader:
    """A file. Raises PermanentError for one that cannot be read."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY)
            self.size = os.fstat(self._file).st_size
            os.pread(self._file, 0, 0)
        except OSError as error:
            raise PermanentError(f"{path}: cannot be read: {error.strerror}") from error

    def __enter__(self) -> LocalReader:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def read(self, start: int, length: int) -> bytes:
        """See Reader."""
        return os.pread(self._file, length, start)

    def expect(self, ranges: list[tuple[int, int]]) -> None:
        """Nothing to do: the system reads ahead."""


class Stream(io.RawIOBase):
    """A part of a recording as a file of its own."""

    def __init__(self, reader: Reader, start: int, length: int) -> None:
        self._reader = reader
        self._position = start
        self._end = min(start + length, reader.size)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]  # typeshed: WriteableBuffer
        """Fill `buffer` as far as the part goes."""
        block = self._reader.read(self._position, min(len(buffer), self._end - self._position))
        buffer[: len(block)] = block
        self._position += len(block)
        return len(block)
