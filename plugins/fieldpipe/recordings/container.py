"""The container format: an MCAP file -> its messages in file order, whatever state the file is in.

Format: mcap.dev/spec. Nothing is believed: lengths are held against the bytes that are left, chunks against their size
and CRC. What is damaged is skipped and noted, and reading goes on behind it; a file that ends too early gives every
message that is complete. Memory is bounded by one chunk of `chunks.IN_MEMORY` bytes or one message.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from mcap.opcode import Opcode
from mcap.records import Channel as ChannelRecord

from fieldpipe.errors import PermanentError
from fieldpipe.recordings.chunks import ChunkDamaged, Content, read_content, read_head
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.records import RecordDamaged, Schema, Topic, parse_channel, parse_schema
from fieldpipe.recordings.summary import MAGIC, Summary, read_summary

MAX_MESSAGE = 128 * 1024 * 1024  # bytes
MAX_DEFINITION = 16 * 1024 * 1024  # bytes of a schema or channel
MAX_DEFINITIONS = 64 * 1024 * 1024  # bytes of all schemas and channels
_HEADER = struct.Struct("<BQ")  # opcode, length of the body
_MESSAGE = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time


class NotMcap(PermanentError):
    """The file does not begin as an MCAP file does."""


class Message(NamedTuple):
    """One message; times are nanoseconds."""

    topic: Topic
    sequence: int
    log_time: int
    publish_time: int
    payload: bytes


class Container:
    """A recording in a seekable file. Raises NotMcap. `spool` is a folder for what does not fit into memory."""

    def __init__(self, file: IO[bytes], spool: Path, notes: Notes) -> None:
        self._file = file
        self._spool = spool
        self._notes = notes
        self._size = file.seek(0, 2)
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC:
            raise NotMcap("not_mcap: the file does not begin with the magic of MCAP")
        self._finished = True
        self._summary = self._read_summary()
        self._schemas: dict[int, Schema] = dict(self._summary.schemas)
        self._channels: dict[int, ChannelRecord] = dict(self._summary.channels)
        self._topics: dict[int, Topic] = {}
        self._skipped: dict[str, int] = {}
        self._defined = 0  # bytes of definitions

    def messages(self) -> Iterator[Message]:
        """Every message that can be read, in file order."""
        position = len(MAGIC)
        while position < self._size:
            self._file.seek(position)
            header = self._file.read(_HEADER.size)
            opcode, length = _HEADER.unpack(header) if len(header) == _HEADER.size else (0, 0)
            start, left = position + _HEADER.size, self._size - position - _HEADER.size
            if opcode == 0 or length > left:
                if opcode == Opcode.CHUNK:
                    yield from self._chunk(position, left, complete=False)
                self._tell_damage(position)
                position = self._next_chunk(position)
                continue
            if opcode in (Opcode.DATA_END, Opcode.FOOTER):
                break
            yield from self._record(opcode, position, length)
            position = start + length
        self._tell_skipped()

    def topics(self) -> list[Topic]:
        """Every topic that the file has declared so far, with or without messages, by channel."""
        return [self._topic(channel) for channel in sorted(self._channels)]

    def _record(self, opcode: int, position: int, length: int) -> Iterator[Message]:
        if opcode == Opcode.CHUNK:
            yield from self._chunk(position, length, complete=True)
        elif opcode == Opcode.MESSAGE:
            if not _MESSAGE.size <= length <= MAX_MESSAGE:
                self._notes.error(f"byte {position}: a message of {length} bytes was skipped")
                return
            yield self._message(self._file.read(length), 0, length)
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            if length > MAX_DEFINITION:
                self._notes.error(f"byte {position}: a definition of {length} bytes was skipped")
                return
            self._define(opcode, self._file.read(length), position)
        elif opcode in (Opcode.ATTACHMENT, Opcode.METADATA):
            kind = Opcode(opcode).name.lower()
            self._skipped[kind] = self._skipped.get(kind, 0) + 1

    def _chunk(self, position: int, length: int, *, complete: bool) -> Iterator[Message]:
        try:
            head = read_head(self._file, position + _HEADER.size, length)
            content = read_content(self._file, head, self._spool, complete=complete)
        except ChunkDamaged as error:
            if complete:  # of the other sort the caller tells
                self._notes.error(f"byte {position}: a chunk was skipped: {error}")
            return
        yield from self._chunk_records(content, position, complete)

    def _chunk_records(self, content: Content, position: int, complete: bool) -> Iterator[Message]:
        at, size = 0, len(content)
        while at + _HEADER.size <= size:
            opcode, length = _HEADER.unpack_from(content, at)
            start = at + _HEADER.size
            if length > size - start:
                break
            if opcode == Opcode.MESSAGE and _MESSAGE.size <= length <= MAX_MESSAGE:
                yield self._message(content, start, start + length)
            elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                self._define(opcode, content[start : start + length], position)
            elif opcode == Opcode.MESSAGE:
                self._notes.error(f"byte {position}: a message of {length} bytes in the chunk there was skipped")
            at = start + length
        if at != size and complete:
            self._notes.error(f"byte {position}: the chunk there ends inside a record")

    def _message(self, content: Content, start: int, end: int) -> Message:
        channel, sequence, log_time, publish_time = _MESSAGE.unpack_from(content, start)
        topic = self._topics.get(channel) or self._topic(channel)
        return Message(topic, sequence, log_time, publish_time, content[start + _MESSAGE.size : end])

    def _define(self, opcode: int, body: bytes, position: int) -> None:
        try:
            is_new = self._define_schema(body) if opcode == Opcode.SCHEMA else self._define_channel(body)
        except RecordDamaged as error:
            self._notes.error(f"byte {position}: {error}")
            return
        self._defined += len(body) if is_new else 0
        if self._defined > MAX_DEFINITIONS:
            raise PermanentError(f"too_many_schemas: more than {MAX_DEFINITIONS} bytes of schemas and channels")

    def _define_schema(self, body: bytes) -> bool:
        schema_id, schema = parse_schema(body)
        is_new = self._schemas.get(schema_id) != schema
        self._schemas[schema_id] = schema
        return is_new

    def _define_channel(self, body: bytes) -> bool:
        channel = parse_channel(body)
        is_new = self._channels.get(channel.id) != channel
        if is_new:
            self._channels[channel.id] = channel
            self._topics.pop(channel.id, None)
        return is_new

    def _topic(self, channel_id: int) -> Topic:
        if channel_id not in self._topics:
            self._topics[channel_id] = self._described(channel_id)
        return self._topics[channel_id]

    def _described(self, channel_id: int) -> Topic:
        channel = self._channels.get(channel_id)
        if channel is None:
            return Topic(f"unknown_channel_{channel_id}", "", None, "the file does not declare this channel")
        schema = self._schemas.get(channel.schema_id)
        missing = f"the file does not hold its schema {channel.schema_id}" if channel.schema_id and not schema else ""
        return Topic(channel.topic, channel.message_encoding, schema, missing)

    def _read_summary(self) -> Summary:
        try:
            summary = read_summary(self._file, self._size)
        except RecordDamaged as error:
            self._notes.warn(f"the summary was not used: {error}")
            return Summary()
        if summary is None:
            self._notes.warn("the file has no footer, so it was not finished: every complete message was kept")
            self._finished = False
        return summary or Summary()

    def _next_chunk(self, position: int) -> int:
        """Where reading can go on behind damage: the next chunk that the summary knows, or the end."""
        index = bisect.bisect_right(self._summary.chunks, position)
        return min(self._summary.chunks[index], self._size) if index < len(self._summary.chunks) else self._size

    def _tell_damage(self, position: int) -> None:
        if self._finished:
            self._notes.error(f"byte {position}: the file is damaged here")
        else:
            self._notes.warn(f"byte {position}: the file ends inside a record")

    def _tell_skipped(self) -> None:
        for kind, count in sorted(self._skipped.items()):
            self._notes.warn(f"{count} {kind} records were not converted")
