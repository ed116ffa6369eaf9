"""Messages that somebody looks at one by one, and what is kept of those that nobody can read."""

from __future__ import annotations

from typing import NamedTuple

from fieldpipe.recordings.cells import row
from fieldpipe.recordings.executor import Content, Left
from fieldpipe.recordings.records import MESSAGE
from fieldpipe.recordings.spool import Part, Spool

TIME_COLUMNS = ("log_time", "publish_time", "sequence")
RAW_COLUMNS = (*TIME_COLUMNS, "offset", "length", "reason")


class Message(NamedTuple):
    """One message; times are nanoseconds."""

    sequence: int
    log_time: int
    publish_time: int
    payload: bytes

    @property
    def times(self) -> str:
        """How its row begins."""
        return f"{self.log_time},{self.publish_time},{self.sequence}"


def message(content: Content, left: Left) -> Message:
    """A message of a block."""
    _, sequence, log_time, publish_time = MESSAGE.unpack_from(content, left.start)
    return Message(sequence, log_time, publish_time, content[left.start + MESSAGE.size : left.end])


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
