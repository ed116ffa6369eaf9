"""What both executors of plans do: the records of a block -> text of CSV, topic by topic.

A block is a run of whole MCAP records: a decompressed chunk, or records that stand outside of chunks. `scan` looks at
it without decoding anything (definitions, times); `convert` makes rows. Threads may call both at the same time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from enum import IntEnum
from mmap import mmap
from typing import NamedTuple, Protocol

from fieldpipe.errors import FieldpipeError
from fieldpipe.recordings.plan import Plan

Content = bytes | mmap
MAX_ROW = 64 * 1024 * 1024  # bytes of text; a message that would make more is not decoded
MAX_ROWS = 1_000_000  # of a message whose list is exploded; one that would make more is not decoded
TEXT_LIMIT = 4 * 1024 * 1024  # bytes of text after which `convert` stops and tells where
FOREVER = 2**64 - 1


class DecodeError(FieldpipeError):
    """A payload is not what its schema says, or makes more than MAX_ROW bytes of text."""


class Decoder(Protocol):
    """The readable executor of one topic's plan."""

    plan: Plan
    formula_safe: bool  # texts that a spreadsheet takes for formulas get a quote in front
    escaped: int  # texts so far that held bytes which are not valid
    has_more: bool  # the last payload held members that the schema does not name
    binary: bytes  # what the plan's BYTES found in the last payload

    def rows(self, payload: bytes) -> list[list[str]]:
        """The cells of a payload: one row, or as many as a list has elements. Raises DecodeError."""
        ...


class Selection:
    """What shall become of messages. A channel that is not in `decoders` is skipped; None: the caller decodes it.

    Channels with the same decoder make rows of one table.
    Times are log times, `end` is not included.
    """

    def __init__(self, decoders: Mapping[int, Decoder | None], start: int = 0, end: int = FOREVER + 1) -> None:
        self.decoders = decoders
        self.start = start
        self.end = end


class Why(IntEnum):
    """Why a message is left to the caller."""

    ASKED = 0  # the selection says so
    UNDECODABLE = 1  # it made no row; the readable decoder finds the words for it
    MORE = 2  # it made its row, but held more than the schema names


class Left(NamedTuple):
    """A message that the caller must look at; its record's body is `content[start:end]`."""

    why: Why
    channel: int
    start: int
    end: int


class Rows(NamedTuple):
    """The rows that one decoder made of a block, as lines of CSV. `channel` is that of the first message."""

    channel: int
    lines: int
    escaped: int
    text: bytes | memoryview


class Converted:
    """Both lists in the order of the block. The memory behind `rows` is taken back by `release`.

    `stop` is where the next call should start; the block is done when that is its end.
    """

    def __init__(self, stop: int, rows: list[Rows], left: list[Left]) -> None:
        self.stop = stop
        self.rows = rows
        self.left = left

    @property
    def size(self) -> int:
        """Bytes of all texts."""
        return sum([len(rows.text) for rows in self.rows])

    def release(self) -> None:
        """The texts are not needed any more."""


class Defined(NamedTuple):
    """A schema or channel record; its body is `content[start:end]`."""

    opcode: int
    start: int
    end: int


class Tally:
    """The times of one channel's messages in a block (nanoseconds, log time), in the order of the block.

    `intervals` counts steps forward by the bucket of their length (see `bucket`); steps back are `backwards`.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.size = 0  # bytes of payload
        self.first = 0
        self.last = 0
        self.least = FOREVER
        self.most = 0
        self.backwards = 0
        self.intervals: dict[int, int] = defaultdict(int)


class Scanned(NamedTuple):
    """What a block holds: schemas and channels, and messages by channel. `end` is where its whole records end;
    `refused` are messages (start, end) whose length cannot be. Records of other kinds are passed over."""

    end: int
    definitions: list[Defined]
    tallies: dict[int, Tally]
    refused: list[tuple[int, int]]


class Whole(Protocol):
    """A whole block that was scanned and converted in one go.

    It is plain if there is nothing to be done but to write its rows, as far as its definitions are known: its records
    are whole, and its channels are all converted and left no message.
    """

    @property
    def is_plain(self) -> bool: ...

    @property
    def definitions(self) -> list[Defined]:
        """Those of `scanned`."""
        ...

    @property
    def scanned(self) -> Scanned:
        """See Executor.scan."""
        ...

    @property
    def converted(self) -> Converted:
        """See Executor.convert."""
        ...


class Totals(Protocol):
    """What the messages of several blocks together are like, by channel."""

    def add(self, whole: Whole) -> None:
        """Take in the block that comes next in the file."""
        ...

    def take(self) -> dict[int, Tally]:
        """As if all blocks since the last time were one."""
        ...


class Executor(Protocol):
    """One way of running plans."""

    def scan(self, content: Content, start: int, end: int) -> Scanned:
        """Look at the records between two places of a block."""
        ...

    def convert(self, content: Content, start: int, end: int, selection: Selection) -> Converted:
        """Make rows of the messages between two places (`end` as `scan` found it)."""
        ...

    def whole(self, content: Content, selection: Selection) -> Whole:
        """Do both to a whole block."""
        ...

    def totals(self) -> Totals:
        """Of no block. Blocks that are added come from `whole` of this executor."""
        ...


def bucket(interval: int) -> int:
    """The bucket of an interval in nanoseconds: four for every power of two, by the two bits after the highest."""
    if interval < 4:
        return interval
    exponent = interval.bit_length() - 1
    return 4 * (exponent - 1) + (interval >> (exponent - 2) & 3)


def bucket_start(index: int) -> int:
    """The shortest interval of a bucket."""
    if index < 4:
        return index
    exponent, quarter = divmod(index, 4)
    return (4 + quarter) << (exponent - 1)
