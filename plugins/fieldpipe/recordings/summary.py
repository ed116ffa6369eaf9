"""The summary at the end of a container: definitions, so that a damaged chunk cannot take those of others with it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from mcap.opcode import Opcode
from mcap.records import Channel as ChannelRecord

from fieldpipe.recordings.records import RecordDamaged, Schema, parse_channel, parse_schema

MAGIC = b"\x89MCAP0\r\n"
MAX_SUMMARY = 64 * 1024 * 1024  # bytes; a larger one is not used
_HEADER = struct.Struct("<BQ")
_FOOTER = struct.Struct("<BQQQI")  # opcode, length, start of the summary, start of its offsets, CRC
_CHUNK_INDEX = struct.Struct("<QQQ")  # first time, last time, where the chunk's record starts


@dataclass(frozen=True, slots=True)
class Summary:
    """What the end of the file says. `chunks` are where chunk records start, ascending."""

    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, ChannelRecord] = field(default_factory=dict)
    chunks: list[int] = field(default_factory=list)


def read_summary(file: IO[bytes], size: int) -> Summary | None:
    """The summary (empty if the writer made none); None if the file has no footer: it was not finished.

    Raises RecordDamaged for one that cannot be used.
    """
    tail = _FOOTER.size + len(MAGIC)
    if size < len(MAGIC) + tail:
        return None
    file.seek(size - tail)
    footer = file.read(tail)
    opcode, length, start, _, crc = _FOOTER.unpack_from(footer)
    if opcode != Opcode.FOOTER or length != _FOOTER.size - _HEADER.size or not footer.endswith(MAGIC):
        return None
    if not start:
        return Summary()
    end = size - tail
    if not len(MAGIC) <= start <= end or end - start > MAX_SUMMARY:
        raise RecordDamaged("it does not start where the footer says")
    file.seek(start)
    content = file.read(end - start)
    if crc and zlib.crc32(footer[: _FOOTER.size - 4], zlib.crc32(content)) != crc:
        raise RecordDamaged("its CRC does not match")
    return _parse(content)


def _parse(content: bytes) -> Summary:
    summary = Summary()
    for opcode, body in _records(content):
        if opcode == Opcode.SCHEMA:
            schema_id, schema = parse_schema(body)
            summary.schemas[schema_id] = schema
        elif opcode == Opcode.CHANNEL:
            channel = parse_channel(body)
            summary.channels[channel.id] = channel
        elif opcode == Opcode.CHUNK_INDEX and len(body) >= _CHUNK_INDEX.size:
            summary.chunks.append(_CHUNK_INDEX.unpack_from(body)[2])
    summary.chunks.sort()
    return summary


def _records(content: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + _HEADER.size <= len(content):
        opcode, length = _HEADER.unpack_from(content, position)
        position += _HEADER.size
        if length > len(content) - position:
            raise RecordDamaged("a record in it is longer than it is")
        yield opcode, content[position : position + length]
        position += length
