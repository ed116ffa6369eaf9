"""Recordings for tests, built in code: real MCAP by the official writer, and what is not quite MCAP."""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcap.opcode import Opcode
from mcap.writer import CompressionType, IndexType, Writer

from fieldpipe.recordings import ros1msg, ros2idl, ros2msg
from fieldpipe.recordings.encode import encode, encode_ros1
from fieldpipe.recordings.synthetic import write_recording

START = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z, in nanoseconds
MILLISECOND = 1_000_000
MAGIC = b"\x89MCAP0\r\n"


@dataclass(frozen=True)
class Channel:
    """A topic as a recorder declares it. Without a schema text it has no schema."""

    topic: str
    encoding: str = "cdr"
    schema: str = ""
    schema_encoding: str = ""
    text: str | None = None

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """A payload for this channel."""
        if self.encoding == "json":
            return json.dumps(value).encode()
        assert self.text is not None
        match self.schema_encoding:
            case "ros1msg":
                return encode_ros1(ros1msg.parse(self.schema, self.text), value)
            case "ros2idl" | "omgidl":
                return encode(ros2idl.parse(self.schema, self.text), value)
        return encode(ros2msg.parse(self.schema, self.text), value)


class MemoryReader:
    """A recording whose bytes are there already. See reader.Reader."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)

    def read(self, start: int, length: int) -> bytes:
        """See Reader."""
        return self._content[start : start + length]

    def expect(self, ranges: list[tuple[int, int]]) -> None:
        """Nothing to do."""


def ros2(topic: str, text: str, name: str = "test_msgs/msg/Thing") -> Channel:
    """A ROS 2 topic whose messages are defined by `text`."""
    return Channel(topic, "cdr", name, "ros2msg", text)


def json_topic(topic: str, schema: Mapping[str, Any] | None = None) -> Channel:
    """A JSON topic, with or without a JSON Schema."""
    if schema is None:
        return Channel(topic, "json")
    return Channel(topic, "json", "Thing", "jsonschema", json.dumps(schema))


def sent(channel: Channel, *values: Mapping[str, Any], start: int = START) -> list[tuple[Channel, int, bytes]]:
    """Messages of one topic, a millisecond apart."""
    return [(channel, start + index * MILLISECOND, channel.encode(value)) for index, value in enumerate(values)]


def mcap(
    messages: Iterable[tuple[Channel, int, bytes]],
    *,
    declared: Sequence[Channel] = (),
    compression: CompressionType = CompressionType.ZSTD,
    chunked: bool = True,
    chunk_size: int = 1024,
    summary: bool = True,
) -> bytes:
    """A recording: (channel, log time, payload) in this order. `declared` are topics without messages.

    Sequences count per channel; a message is published a microsecond before it is logged.
    """
    file = io.BytesIO()
    writer = Writer(
        file,
        chunk_size=chunk_size,
        compression=compression,
        use_chunking=chunked,
        index_types=IndexType.ALL if summary else IndexType.NONE,
        repeat_channels=summary,
        repeat_schemas=summary,
        use_statistics=summary,
        use_summary_offsets=summary,
    )
    writer.start(profile="ros2", library="tests")
    ids: dict[Channel, int] = {channel: _register(writer, channel) for channel in declared}
    counts: dict[Channel, int] = {}
    for channel, log_time, payload in messages:
        if channel not in ids:
            ids[channel] = _register(writer, channel)
        sequence = counts.get(channel, 0)
        counts[channel] = sequence + 1
        writer.add_message(ids[channel], log_time, payload, publish_time=log_time - 1000, sequence=sequence)
    writer.finish()
    return file.getvalue()


def records(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Opcode, start and end of every record of a sound file."""
    position = len(MAGIC)
    while position < len(content) - len(MAGIC):
        opcode, length = struct.unpack_from("<BQ", content, position)
        yield opcode, position, position + 9 + length
        position += 9 + length


def chunks_of(content: bytes) -> list[bytes]:
    """The records of its chunks."""
    return [content[start:end] for opcode, start, end in records(content) if opcode == Opcode.CHUNK]


def robot_recording(seed: int = 1, seconds: float = 0.2) -> bytes:
    """What `scripts.generate_recording` makes: six topics, about 361 messages a second."""
    file = io.BytesIO()
    write_recording(file, seed=seed, start=START, seconds=seconds)
    return file.getvalue()


def small_recording(number: int = 0, messages: int = 3) -> bytes:
    """One topic with a few messages; every number gives another content."""
    channel = ros2("/numbers", "int64 number\nfloat64 half")
    values = [{"number": number * 1000 + index, "half": index / 2} for index in range(messages)]
    return mcap(sent(channel, *values))


def csv_recording(rows: int = 10, seed: int = 1) -> bytes:
    """The CSV text that the project's first generator wrote under the name `.mcap`."""
    dice = random.Random(seed)
    lines = ["timestamp,cmd_vel_linear,cmd_vel_angular"]
    lines += [f"{1_767_225_600.25 + index},{dice.random()},{dice.random()}" for index in range(rows)]
    return ("\n".join(lines) + "\n").encode()


def _register(writer: Writer, channel: Channel) -> int:
    schema = 0
    if channel.text is not None:
        schema = writer.register_schema(channel.schema, channel.schema_encoding, channel.text.encode())
    return writer.register_channel(channel.topic, channel.encoding, schema)
