"""The records of a container that describe messages: schemas and channels (mcap.dev/spec, "Records")."""

from __future__ import annotations

import struct
from typing import NamedTuple

from fieldpipe.errors import FieldpipeError
from fieldpipe.recordings import sums

HEADER = struct.Struct("<BQ")  # of every record: opcode, length of the body
MESSAGE = struct.Struct("<HIQQ")  # how the body of a message begins: channel, sequence, log time, publish time
MAX_MESSAGE = 128 * 1024 * 1024  # bytes of a message's body


class RecordDamaged(FieldpipeError):
    """The body of a record is not what the specification says."""


class Schema(NamedTuple):
    """How payloads are to be read: `encoding` names the language (`ros2msg`, `jsonschema`), `data` is the text."""

    name: str
    encoding: str
    data: bytes


class Channel(NamedTuple):
    """What messages of a number are; `schema_id` is 0 if they have no schema."""

    id: int
    schema_id: int
    topic: str
    encoding: str
    metadata: dict[str, str]


class Topic(NamedTuple):
    """A topic with one message encoding and one schema: what becomes one table. `schema` is None if it has none.

    `defect` says why payloads cannot be read whatever they hold.
    """

    name: str
    encoding: str
    schema: Schema | None
    defect: str = ""

    @property
    def digest(self) -> str:
        """Eight hex digits that tell schemas of one topic apart."""
        parts = (self.encoding, *((self.schema.name, self.schema.encoding) if self.schema else ()))
        text = "\0".join(parts).encode() + (self.schema.data if self.schema else b"")
        return sums.of(text)[:8]


def parse_schema(body: bytes) -> tuple[int, Schema]:
    """A schema and its id. Raises RecordDamaged."""
    fields = _Fields("schema", body)
    return fields.number(2), Schema(fields.text(), fields.text(), fields.data())


def parse_channel(body: bytes) -> Channel:
    """A channel. Raises RecordDamaged."""
    fields = _Fields("channel", body)
    channel_id, schema_id, topic, encoding = fields.number(2), fields.number(2), fields.text(), fields.text()
    size = fields.number(4)
    end = fields.at + size
    metadata: dict[str, str] = {}
    while fields.at < end:  # the last entry may be longer than it should, as the official library has it
        key = fields.text()
        metadata[key] = fields.text()
    return Channel(channel_id, schema_id, topic, encoding, metadata)


class _Fields:
    """The fields of a record, one after the other; `at`: where the next one is.

    What stands behind the last one is of a later version.
    """

    def __init__(self, kind: str, body: bytes) -> None:
        self.at = 0
        self._kind = kind
        self._body = body

    def number(self, size: int) -> int:
        """An integer of so many bytes."""
        return int.from_bytes(self._take(size), "little")

    def data(self) -> bytes:
        """As many bytes as are said before them."""
        return self._take(self.number(4))

    def text(self) -> str:
        """The same, as text."""
        try:
            return self.data().decode()
        except UnicodeDecodeError as error:
            raise self._damaged() from error

    def _take(self, size: int) -> bytes:
        start, self.at = self.at, self.at + size
        if self.at > len(self._body):
            raise self._damaged()
        return self._body[start : self.at]

    def _damaged(self) -> RecordDamaged:
        return RecordDamaged(f"a {self._kind} record that cannot be read")
