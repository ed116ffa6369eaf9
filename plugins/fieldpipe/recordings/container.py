"""The container format: an MCAP file -> blocks of records in file order, whatever state the file is in.

Format: mcap.dev/spec. Nothing is believed: lengths are held against the bytes that are left, chunks against their size
and CRC. What is damaged is skipped and told, and reading goes on behind it; a file that ends too early gives every
message that is complete. Here only headers are read: blocks are loaded later, by several threads if need be.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from mcap.opcode import Opcode

from fieldpipe.errors import PermanentError
from fieldpipe.recordings.chunks import HEAD_SIZE, IN_MEMORY, ChunkDamaged, ChunkHead, parse_head, read_content
from fieldpipe.recordings.definitions import MAX_DEFINITION
from fieldpipe.recordings.executor import Content
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.reader import Reader
from fieldpipe.recordings.records import HEADER, MAX_MESSAGE, RecordDamaged
from fieldpipe.recordings.summary import MAGIC, ChunkIndex, Summary, read_summary

MAX_RATIO = 1000  # of what all chunks say they hold to the file's size
MAX_UNPACKED = 4 * 1024**3  # bytes that may come out of a file of any size
_PEEK, _LONGEST_PEEK = 4096, 256 * 1024  # bytes that are read for the sake of a header
_FIRST_RUN, _LONGEST_RUN = 64 * 1024, 4 * 1024 * 1024  # bytes of records outside of chunks that are read at a time
_RECORDS = (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE)

Skip = Callable[[ChunkIndex], bool]
"""Whether a chunk can be left out."""


class NotMcap(PermanentError):
    """The file does not begin as an MCAP file does."""


class Remark(NamedTuple):
    """Something to be told, in its place between the blocks."""

    text: str
    is_error: bool


class Block(Protocol):
    """A run of records that is not loaded yet, from byte `position` of the file to `end`. Loading takes `size` bytes.

    A chunk is complete if the file does not end in it, and checked if it has a CRC.
    """

    @property
    def position(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def is_chunk(self) -> bool: ...
    @property
    def is_complete(self) -> bool: ...
    @property
    def is_checked(self) -> bool: ...

    def load(self) -> Content:
        """The records. Raises ChunkDamaged. May be called from any thread."""
        ...


class Container:
    """A recording. Raises NotMcap. `spool` is a folder for what does not fit into memory."""

    def __init__(self, reader: Reader, spool: Path, notes: Notes) -> None:
        self._reader = reader
        self._spool = spool
        if reader.read(0, len(MAGIC)) != MAGIC:
            raise NotMcap("not_mcap: the file does not begin with the magic of MCAP")
        self.is_finished = True
        self.chunks_skipped = 0
        self.summary = self._read_summary(notes)
        self._starts = [chunk.start for chunk in self.summary.chunks]
        self._not_converted: Counter[str] = Counter()
        self._unpacked = 0
        self._run_size = _FIRST_RUN
        self._peeked_at, self._peeked = 0, b""

    def blocks(self, skip: Skip = lambda _: False) -> Iterator[Block | Remark]:
        """Everything that can be read, in file order, but for indexed chunks that `skip` says may be left out."""
        left_out = self._left_out(skip)
        self.chunks_skipped = len(left_out)
        self._reader.expect(self._ranges(left_out))
        position = len(MAGIC)
        while position < self._reader.size:
            if position in left_out:
                position = left_out[position]
                continue
            opcode, length = self._header(position)
            left = self._reader.size - position - HEADER.size
            if opcode == 0 or length > left:
                if opcode == Opcode.CHUNK:
                    yield self._chunk(position, left, is_complete=False)
                yield self._damage(position)
                position = self._next_chunk(position)
            elif opcode in (Opcode.DATA_END, Opcode.FOOTER):
                break
            elif opcode in _RECORDS and length <= _largest(opcode):
                run = self._run(position, HEADER.size + length)
                yield run
                position += run.size
            else:
                if item := self._record(opcode, position, length):
                    yield item
                position += HEADER.size + length
        for kind, count in sorted(self._not_converted.items()):
            yield Remark(f"{count} {kind} records were not converted", is_error=False)

    def _record(self, opcode: int, position: int, length: int) -> Block | Remark | None:
        if opcode == Opcode.CHUNK:
            return self._chunk(position, length, is_complete=True)
        if opcode in _RECORDS:
            kind = "message" if opcode == Opcode.MESSAGE else "definition"
            return Remark(f"byte {position}: a {kind} of {length} bytes was skipped", is_error=True)
        if opcode in (Opcode.ATTACHMENT, Opcode.METADATA):
            self._not_converted[Opcode(opcode).name.lower()] += 1
        return None

    def _chunk(self, position: int, length: int, *, is_complete: bool) -> Block:
        start = position + HEADER.size
        try:
            head = parse_head(self._peek(start, HEAD_SIZE), start, length)
        except ChunkDamaged as error:
            return _DamagedChunk(position, str(error), is_complete)
        self._unpacked += head.size
        if self._unpacked > max(MAX_UNPACKED, MAX_RATIO * self._reader.size):
            raise PermanentError(f"bomb: {self._reader.size} bytes say that they hold {self._unpacked} and more")
        size = min(head.stored, IN_MEMORY) + min(head.size, IN_MEMORY)
        return _Chunk(position, head, size, is_complete, self._reader, self._spool)

    def _run(self, position: int, first: int) -> _Run:
        """As many whole records in a row as there are, up to a limit that grows; the first one has `first` bytes."""
        content = self._reader.read(position, max(first, self._run_size))
        at, size = 0, len(content)
        self._run_size = min(2 * self._run_size, _LONGEST_RUN)
        while at + HEADER.size <= size:
            opcode, length = HEADER.unpack_from(content, at)
            if opcode not in _RECORDS:
                self._run_size = _FIRST_RUN
                break
            if length > size - at - HEADER.size:
                break
            at += HEADER.size + length
        return _Run(position, content[:at])

    def _header(self, position: int) -> tuple[int, int]:
        """Opcode and length of a record; 0, 0 if it ends inside."""
        content = self._peek(position, HEADER.size)
        found: tuple[int, int] = HEADER.unpack(content) if len(content) == HEADER.size else (0, 0)
        return found

    def _peek(self, position: int, length: int) -> bytes:
        """A few bytes; neighbours are read with them."""
        at = position - self._peeked_at
        if not 0 <= at <= len(self._peeked) - length:
            size = min(max(_PEEK, self._indexed(position)), _LONGEST_PEEK)
            self._peeked_at, self._peeked, at = position, self._reader.read(position, size), 0
        return self._peeked[at : at + length]

    def _indexed(self, position: int) -> int:
        """Bytes from a place among the indexes of a chunk up to the end of the next chunk's head; 0 elsewhere."""
        number = bisect.bisect_right(self._starts, position) - 1
        if number < 0:
            return 0
        before = self.summary.chunks[number]
        left = before.indexed_end - position
        return left + HEADER.size + HEAD_SIZE if before.end <= position and left > 0 else 0

    def _left_out(self, skip: Skip) -> dict[int, int]:
        """Where chunks start that are not read, and where reading goes on behind each."""
        chunks = self.summary.chunks
        limits = [*self._starts[1:], self.summary.start or self._reader.size]
        return {
            chunk.start: chunk.indexed_end
            for chunk, limit in zip(chunks, limits, strict=False)  # without chunks there is one limit
            if chunk.start < chunk.end <= chunk.indexed_end <= limit and skip(chunk)
        }

    def _ranges(self, left_out: dict[int, int]) -> list[tuple[int, int]]:
        position, ranges = len(MAGIC), []
        for start, behind in left_out.items():
            ranges += [(position, start)] if position < start else []
            position = behind
        return [*ranges, (position, self.summary.start or self._reader.size)]

    def _read_summary(self, notes: Notes) -> Summary:
        try:
            summary = read_summary(self._reader)
        except RecordDamaged as error:
            notes.warn(f"the summary was not used: {error}")
            return Summary()
        if summary is None:
            notes.warn("the file has no footer, so it was not finished: every complete message was kept")
            self.is_finished = False
        return summary or Summary()

    def _next_chunk(self, position: int) -> int:
        """Where reading can go on behind damage: the next chunk that the summary knows, or the end."""
        index = bisect.bisect_right(self._starts, position)
        return min(self._starts[index], self._reader.size) if index < len(self._starts) else self._reader.size

    def _damage(self, position: int) -> Remark:
        if self.is_finished:
            return Remark(f"byte {position}: the file is damaged here", is_error=True)
        return Remark(f"byte {position}: the file ends inside a record", is_error=False)


class _Chunk(NamedTuple):
    position: int
    head: ChunkHead
    size: int
    is_complete: bool
    reader: Reader
    spool: Path
    is_chunk: bool = True

    @property
    def end(self) -> int:
        return self.head.start + self.head.stored

    @property
    def is_checked(self) -> bool:
        return self.is_complete and self.head.crc != 0

    def load(self) -> Content:
        return read_content(self.reader, self.head, self.spool, complete=self.is_complete)


class _DamagedChunk(NamedTuple):
    position: int
    reason: str
    is_complete: bool
    is_chunk: bool = True
    is_checked: bool = False
    size: int = 0

    @property
    def end(self) -> int:
        return self.position

    def load(self) -> Content:
        raise ChunkDamaged(self.reason)


class _Run(NamedTuple):
    position: int
    content: bytes
    is_complete: bool = True
    is_chunk: bool = False
    is_checked: bool = False

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def end(self) -> int:
        return self.position + self.size

    def load(self) -> Content:
        return self.content


def _largest(opcode: int) -> int:
    return MAX_MESSAGE if opcode == Opcode.MESSAGE else MAX_DEFINITION
