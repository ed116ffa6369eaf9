"""The records of a container that describe messages: schemas and channels, parsed with the mcap library."""

from __future__ import annotations

import hashlib
import struct
from io import BytesIO
from typing import NamedTuple, TypeVar

from mcap.data_stream import ReadDataStream
from mcap.exceptions import EndOfFile
from mcap.records import Channel as ChannelRecord
from mcap.records import Schema as SchemaRecord

from fieldpipe.errors import FieldpipeError

HEADER = struct.Struct("<BQ")  # of every record: opcode, length of the body
MESSAGE = struct.Struct("<HIQQ")  # how the body of a message begins: channel, sequence, log time, publish time
MAX_MESSAGE = 128 * 1024 * 1024  # bytes of a message's body

Record = TypeVar("Record", ChannelRecord, SchemaRecord)


class RecordDamaged(FieldpipeError):
    """The body of a record is not what the specification says."""


class Schema(NamedTuple):
    """How payloads are to be read: `encoding` names the language (`ros2msg`, `jsonschema`), `data` is the text."""

    name: str
    encoding: str
    data: bytes


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
        return hashlib.sha256(text).hexdigest()[:8]


class _StrictStream(ReadDataStream):
    """The library returns what is there when less is there; a length that lies shall be an error."""

    def read(self, length: int) -> bytes:
        data: bytes = super().read(length)
        if len(data) != length:
            raise EndOfFile
        return data


def parse_schema(body: bytes) -> tuple[int, Schema]:
    """A schema and its id. Raises RecordDamaged."""
    record = _parse(SchemaRecord, body)
    return record.id, Schema(record.name, record.encoding, record.data)


def parse_channel(body: bytes) -> ChannelRecord:
    """A channel; its `schema_id` is 0 if it has no schema. Raises RecordDamaged."""
    return _parse(ChannelRecord, body)


def _parse(kind: type[Record], body: bytes) -> Record:
    try:
        record: Record = kind.read(_StrictStream(BytesIO(body)))
        return record
    except (EndOfFile, UnicodeDecodeError, ValueError) as error:
        raise RecordDamaged(f"a {kind.__name__.lower()} record that cannot be read") from error
