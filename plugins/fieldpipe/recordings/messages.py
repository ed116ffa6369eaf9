"""Messages that somebody looks at one by one, and what is kept of those that nobody can read."""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple

from fieldpipe.recordings.cells import row
from fieldpipe.recordings.executor import Content, Decoder, Left
from fieldpipe.recordings.records import MESSAGE
from fieldpipe.recordings.spool import Part, Spool

TIME_COLUMNS = ("log_time", "publish_time", "sequence")
RAW_COLUMNS = (*TIME_COLUMNS, "offset", "length", "reason")


class Times(NamedTuple):
    """When a message was logged and published (nanoseconds), and its sequence number."""

    sequence: int
    log_time: int
    publish_time: int

    def __str__(self) -> str:
        return f"{self.log_time},{self.publish_time},{self.sequence}"


class Message(NamedTuple):
    """One message."""

    times: Times
    payload: bytes


class Read(NamedTuple):
    """What a decoder made of a payload."""

    rows: list[list[str]]
    binary: bytes
    escaped: int
    has_more: bool


class SharedDecoder:
    """A decoder that any thread may use."""

    def __init__(self, decoder: Decoder) -> None:
        self.columns = decoder.plan.columns
        self._decoder = decoder
        self._lock = Lock()

    def read(self, payload: bytes) -> Read:
        """Raises DecodeError."""
        with self._lock:
            before = self._decoder.escaped
            rows = self._decoder.rows(payload)
            return Read(rows, self._decoder.binary, self._decoder.escaped - before, self._decoder.has_more)


def message(content: Content, left: Left) -> Message:
    """A message of a block."""
    _, *times = MESSAGE.unpack_from(content, left.start)
    return Message(Times(*times), content[left.start + MESSAGE.size : left.end])


class RawParts:
    """Payloads as they were, and an index of them."""

    def __init__(self, spool: Spool, stem: str) -> None:
        self.rows = 0
        self.content: Part = spool.part(f"{stem}.raw.bin")
        self.index: Part = spool.part(f"{stem}.raw.csv")
        self.index.write(row(RAW_COLUMNS).encode())

    def add(self, message: Message, reason: str) -> None:
        """Append one payload."""
        place = f"{message.times},{self.content.size},{len(message.payload)},"
        self.content.write(message.payload)
        self.index.write((place + row([reason])).encode(errors="backslashreplace"))
        self.rows += 1
