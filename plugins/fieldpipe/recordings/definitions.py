"""The schemas and channels that a recording has declared so far."""

from __future__ import annotations

from collections.abc import Mapping

from mcap.opcode import Opcode

from fieldpipe.errors import PermanentError
from fieldpipe.recordings.records import Channel, RecordDamaged, Schema, Topic, parse_channel, parse_schema

MAX_DEFINITION = 16 * 1024 * 1024  # bytes of a schema or channel
MAX_DEFINITIONS = 64 * 1024 * 1024  # bytes of all schemas and channels


class Definitions:
    """What channels stand for. A later declaration replaces an earlier one of the same number."""

    def __init__(self, schemas: Mapping[int, Schema], channels: Mapping[int, Channel]) -> None:
        self._schemas = dict(schemas)
        self._channels = dict(channels)
        self._size = 0
        self._last: dict[tuple[int, bytes], bytes] = {}  # bodies by opcode and number, as they begin

    def replaces(self, opcode: int, body: bytes) -> bool:
        """Whether this record gives a number that is taken another meaning."""
        if self.is_known(opcode, body) or len(body) > MAX_DEFINITION:
            return False
        try:
            if opcode == Opcode.SCHEMA:
                schema_id, schema = parse_schema(body)
                return self._schemas.get(schema_id, schema) != schema
            channel = parse_channel(body)
            return self._channels.get(channel.id, channel) != channel
        except RecordDamaged:
            return False

    def define(self, opcode: int, body: bytes) -> int | None:
        """Take in a record; returns the channel that means something new now.

        Raises RecordDamaged, and PermanentError when there are more definitions than memory should hold.
        """
        if self.is_known(opcode, body):
            return None
        if len(body) > MAX_DEFINITION:
            raise RecordDamaged(f"a definition of more than {MAX_DEFINITION} bytes was skipped")
        changed = None
        if opcode == Opcode.SCHEMA:
            self._define_schema(body)
        else:
            changed = self._define_channel(body)
        self._last[opcode, body[:2]] = body
        return changed

    def is_known(self, opcode: int, body: bytes) -> bool:
        """Whether the record says what the last one with its number said: some recorders repeat them in every chunk."""
        return self._last.get((opcode, body[:2])) == body

    def channels(self) -> list[int]:
        """The numbers that are declared, ascending."""
        return sorted(self._channels)

    def topic(self, channel_id: int) -> Topic:
        """What the channel stands for."""
        channel = self._channels.get(channel_id)
        if channel is None:
            return Topic(f"unknown_channel_{channel_id}", "", None, "the file does not declare this channel")
        schema = self._schemas.get(channel.schema_id)
        missing = f"the file does not hold its schema {channel.schema_id}" if channel.schema_id and not schema else ""
        return Topic(channel.topic, channel.encoding, schema, missing)

    def _define_schema(self, body: bytes) -> None:
        schema_id, schema = parse_schema(body)
        if self._schemas.get(schema_id) != schema:
            self._grow(len(body))
            self._schemas[schema_id] = schema

    def _define_channel(self, body: bytes) -> int | None:
        channel = parse_channel(body)
        if self._channels.get(channel.id) == channel:
            return None
        self._grow(len(body))
        self._channels[channel.id] = channel
        return channel.id

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_DEFINITIONS:
            raise PermanentError(f"too_many_schemas: more than {MAX_DEFINITIONS} bytes of schemas and channels")
