"""The summary at the end of a container: definitions, so that a damaged chunk cannot take those of others with it, and
where each chunk lies and what it holds, so that those that nobody asks for are not read."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from mcap.opcode import Opcode

from fieldpipe.recordings.reader import Reader
from fieldpipe.recordings.records import HEADER, Channel, RecordDamaged, Schema, parse_channel, parse_schema

MAGIC = b"\x89MCAP0\r\n"
MAX_SUMMARY = 64 * 1024 * 1024  # bytes; a larger one is not used
_FOOTER = struct.Struct("<BQQQI")  # opcode, length, start of the summary, start of its offsets, CRC
# first and last time, start and length of the chunk's record, length of the map of offsets that follows
_CHUNK_INDEX = struct.Struct("<QQQQI")
_OFFSET = struct.Struct("<HQ")  # channel, where its message index starts
_U64 = struct.Struct("<Q")
_STATISTICS = struct.Struct("<QHIIIIQQ")  # counts of messages, schemas, ..., first and last log time


class ChunkIndex(NamedTuple):
    """A chunk's record (from byte `start`, up to `end`), the end of its message indexes, its log times and channels.

    `channels` is empty if the writer did not say.
    """

    start: int
    end: int
    indexed_end: int
    first_time: int
    last_time: int
    channels: frozenset[int]


class Summary(NamedTuple):
    """What the end of the file says. `chunks` ascend; `first_time` is the recording's first log time, if it is known.

    `start` is where it begins in the file, None if there is none.
    """

    schemas: Mapping[int, Schema] = MappingProxyType({})
    channels: Mapping[int, Channel] = MappingProxyType({})
    chunks: Sequence[ChunkIndex] = ()
    first_time: int | None = None
    start: int | None = None


def read_summary(reader: Reader) -> Summary | None:
    """The summary (empty if the writer made none); None if the file has no footer: it was not finished.

    Raises RecordDamaged for one that cannot be used.
    """
    tail = _FOOTER.size + len(MAGIC)
    if reader.size < len(MAGIC) + tail:
        return None
    footer = reader.read(reader.size - tail, tail)
    opcode, length, start, _, crc = _FOOTER.unpack_from(footer)
    if opcode != Opcode.FOOTER or length != _FOOTER.size - HEADER.size or not footer.endswith(MAGIC):
        return None
    if not start:
        return Summary()
    end = reader.size - tail
    if not len(MAGIC) <= start <= end or end - start > MAX_SUMMARY:
        raise RecordDamaged("it does not start where the footer says")
    content = reader.read(start, end - start)
    if crc and zlib.crc32(footer[: _FOOTER.size - 4], zlib.crc32(content)) != crc:
        raise RecordDamaged("its CRC does not match")
    return _parse(content, start)


def _parse(content: bytes, start: int) -> Summary:
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    chunks: list[ChunkIndex] = []
    first_time = None
    known: dict[frozenset[int], frozenset[int]] = {}  # thousands of chunks hold the same few sets
    for opcode, body in _records(content):
        if opcode == Opcode.SCHEMA:
            schema_id, schema = parse_schema(body)
            schemas[schema_id] = schema
        elif opcode == Opcode.CHANNEL:
            channel = parse_channel(body)
            channels[channel.id] = channel
        elif opcode == Opcode.CHUNK_INDEX and len(body) >= _CHUNK_INDEX.size + _U64.size:
            chunks.append(_chunk_index(body, known))
        elif opcode == Opcode.STATISTICS and len(body) >= _STATISTICS.size:
            messages, *_, first, _ = _STATISTICS.unpack_from(body)
            first_time = first if messages else None
    return Summary(schemas, channels, sorted(chunks, key=lambda chunk: chunk.start), first_time, start)


def _chunk_index(body: bytes, known: dict[frozenset[int], frozenset[int]]) -> ChunkIndex:
    first, last, start, length, size = _CHUNK_INDEX.unpack_from(body)
    behind = _CHUNK_INDEX.size + size
    if behind + _U64.size > len(body):
        raise RecordDamaged("a chunk index in it is longer than it is")
    offsets = body[_CHUNK_INDEX.size : behind - size % _OFFSET.size]
    channels = frozenset(dict(_OFFSET.iter_unpack(offsets)))
    (index_length,) = _U64.unpack_from(body, behind)
    end = start + length
    return ChunkIndex(start, end, end + index_length, first, last, known.setdefault(channels, channels))


def _records(content: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + HEADER.size <= len(content):
        opcode, length = HEADER.unpack_from(content, position)
        position += HEADER.size
        if length > len(content) - position:
            raise RecordDamaged("a record in it is longer than it is")
        yield opcode, content[position : position + length]
        position += length
