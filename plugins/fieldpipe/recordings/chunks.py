"""Chunks: the compressed part of a container, read as a stream and never beyond what it says it holds."""

from __future__ import annotations

import io
import mmap
import struct
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import lz4.frame
import zstandard

from fieldpipe.errors import FieldpipeError

MAX_CHUNK = 4 * 1024**3  # bytes, uncompressed
IN_MEMORY = 16 * 1024 * 1024  # bytes, uncompressed; larger chunks go through a file
_BLOCK = 256 * 1024
_HEAD = struct.Struct(
    "<QQQII"
)  # first and last time, uncompressed size, CRC (0: none), length of the compression's name
_U64 = struct.Struct("<Q")

Content = bytes | mmap.mmap


class ChunkDamaged(FieldpipeError):
    """A chunk cannot be read, or is not what it says."""


@dataclass(frozen=True, slots=True)
class ChunkHead:
    """What a chunk says about itself; its data starts at byte `start` of the file and has `stored` bytes."""

    compression: str
    size: int
    crc: int
    start: int
    stored: int


def read_head(file: IO[bytes], start: int, available: int) -> ChunkHead:
    """The head of the chunk whose record body starts at `start`. Raises ChunkDamaged."""
    file.seek(start)
    fixed = file.read(min(available, _HEAD.size))
    if len(fixed) < _HEAD.size:
        raise ChunkDamaged("it ends inside its head")
    _, _, size, crc, name_length = _HEAD.unpack(fixed)
    if name_length > 64:
        raise ChunkDamaged(f"the name of its compression has {name_length} bytes")
    rest = file.read(min(available - _HEAD.size, name_length + _U64.size))
    if len(rest) < name_length + _U64.size:
        raise ChunkDamaged("it ends inside its head")
    name = rest[:name_length].decode("ascii", "backslashreplace")
    data = start + _HEAD.size + name_length + _U64.size
    return ChunkHead(name, size, crc, data, min(_U64.unpack(rest[name_length:])[0], start + available - data))


def read_content(file: IO[bytes], head: ChunkHead, spool: Path, *, complete: bool) -> Content:
    """The records of a chunk, decompressed. Raises ChunkDamaged.

    A complete chunk must have the size and CRC it says; of one that is not, what can be read is returned.
    """
    if head.size > MAX_CHUNK:
        raise ChunkDamaged(f"it says that it holds {head.size} bytes, more than the {MAX_CHUNK} that are accepted")
    content = _inflated(file, head, spool)
    if complete and len(content) != head.size:
        raise ChunkDamaged(f"it holds {len(content)} bytes and says {head.size}")
    if complete and head.crc and zlib.crc32(content) != head.crc:
        raise ChunkDamaged("its CRC does not match")
    return content


def _inflated(file: IO[bytes], head: ChunkHead, spool: Path) -> Content:
    """At most one byte more than the chunk says, so that a bomb is seen and not unpacked."""
    stream = _opened(head.compression, Slice(file, head.start, head.stored))
    if head.size <= IN_MEMORY:
        memory = io.BytesIO()
        _copy(stream, memory, head.size + 1)
        return memory.getvalue()
    with tempfile.TemporaryFile(dir=spool) as disk:
        _copy(stream, disk, head.size + 1)
        disk.flush()
        return mmap.mmap(disk.fileno(), 0, access=mmap.ACCESS_READ) if disk.tell() else b""


def _copy(source: IO[bytes] | io.RawIOBase, target: IO[bytes], limit: int) -> None:
    """Copy until the source ends, breaks, or has given `limit` bytes."""
    while limit > 0:
        try:
            block = source.read(min(_BLOCK, limit))
        except (zstandard.ZstdError, RuntimeError, EOFError):  # lz4 raises RuntimeError
            return
        if not block:
            return
        target.write(block)
        limit -= len(block)


def _opened(compression: str, stored: Slice) -> IO[bytes] | io.RawIOBase:
    if compression == "":
        return stored
    buffered = io.BufferedReader(stored, _BLOCK)
    if compression == "zstd":
        decompressor = zstandard.ZstdDecompressor(max_window_size=128 * 1024 * 1024)
        return decompressor.stream_reader(buffered, read_across_frames=True)
    if compression == "lz4":
        unpacked: IO[bytes] = lz4.frame.LZ4FrameFile(buffered)
        return unpacked
    raise ChunkDamaged(f"its compression {compression!r} is not known")


class Slice(io.RawIOBase):
    """A part of a file as a stream of its own."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        self._file = file
        self._position = start
        self._end = start + length

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]  # typeshed: WriteableBuffer
        """Fill `buffer` as far as the part goes."""
        self._file.seek(self._position)
        block = self._file.read(min(len(buffer), self._end - self._position))
        buffer[: len(block)] = block
        self._position += len(block)
        return len(block)
