"""Chunks: the compressed part of a container, never unpacked beyond what it says it holds."""

from __future__ import annotations

import io
import mmap
import struct
import tempfile
import threading
from pathlib import Path
from typing import IO, NamedTuple

import zstandard
from zlib_ng import zlib_ng

from fieldpipe.errors import FieldpipeError
from fieldpipe.recordings.executor import Content
from fieldpipe.recordings.reader import Reader, Stream

MAX_CHUNK = 4 * 1024**3  # bytes, uncompressed
IN_MEMORY = 16 * 1024 * 1024  # bytes, uncompressed; larger chunks go through a file
HEAD_SIZE = 128  # bytes that hold every head
_BLOCK = 256 * 1024
_MAX_WINDOW = 128 * 1024 * 1024  # bytes that a zstd frame may ask for
_SMALL = 64 * 1024 * 1024  # bytes of a chunk that may have been pressed as hard as it likes
_MAX_RATIO = 1000  # of larger ones: what records hold does not press harder, a bomb does
_HEAD = struct.Struct("<QQQII")  # first and last time, uncompressed size, CRC (0: none), length of the next text
_U64 = struct.Struct("<Q")


class ChunkDamaged(FieldpipeError):
    """A chunk cannot be read, or is not what it says."""


class ChunkHead(NamedTuple):
    """What a chunk says about itself; its data starts at byte `start` of the file and has `stored` bytes."""

    compression: str
    size: int
    crc: int
    start: int
    stored: int


def parse_head(content: bytes, start: int, available: int) -> ChunkHead:
    """The head of the chunk whose record body has `available` bytes from `start` of the file on.

    `content` are its first bytes (HEAD_SIZE of them are enough). Raises ChunkDamaged.
    """
    content = content[:available]
    if len(content) < _HEAD.size:
        raise ChunkDamaged("it ends inside its head")
    _, _, size, crc, name_length = _HEAD.unpack_from(content)
    if name_length > HEAD_SIZE - _HEAD.size - _U64.size:
        raise ChunkDamaged(f"the name of its compression has {name_length} bytes")
    head = _HEAD.size + name_length + _U64.size
    if len(content) < head:
        raise ChunkDamaged("it ends inside its head")
    name = content[_HEAD.size : head - _U64.size].decode("ascii", "backslashreplace")
    (stored,) = _U64.unpack_from(content, head - _U64.size)
    made = ChunkHead(name, size, crc, start + head, min(stored, available - head))
    _refuse_bombs(made)
    return made


def _refuse_bombs(head: ChunkHead) -> None:
    if head.size > MAX_CHUNK:
        raise ChunkDamaged(f"it says that it holds {head.size} bytes, more than the {MAX_CHUNK} that are accepted")
    if head.size > max(_SMALL, _MAX_RATIO * head.stored):
        raise ChunkDamaged(f"it says that it holds {head.size} bytes, pressed into {head.stored}: it is a bomb")


def read_content(reader: Reader, head: ChunkHead, spool: Path, *, complete: bool) -> Content:
    """The records of a chunk, decompressed. Raises ChunkDamaged.

    A complete chunk must have the size and CRC it says; of one that is not, what can be read is returned.
    """
    usual = _in_one_go(reader, head) if complete else None
    content, crc = _in_blocks(reader, head, spool) if usual is None else (usual, zlib_ng.crc32(usual))
    if complete and len(content) != head.size:
        raise ChunkDamaged(f"it holds {len(content)} bytes and says {head.size}")
    if complete and head.crc and crc != head.crc:
        raise ChunkDamaged("its CRC does not match")
    return content


def forget(content: Content, start: int, end: int) -> None:
    """A range was looked at for now. Of content that lies in a file, no more of it than that stays in memory."""
    if isinstance(content, mmap.mmap):
        start -= start % mmap.PAGESIZE
        content.madvise(mmap.MADV_DONTNEED, start, end - start)


def _in_one_go(reader: Reader, head: ChunkHead) -> bytes | None:
    """The content of a chunk that is as usual; None for others."""
    if head.size > IN_MEMORY or head.stored > IN_MEMORY or head.compression not in ("", "zstd", "lz4"):
        return None
    stored = reader.read(head.start, head.stored)
    try:
        if head.compression == "zstd":
            return _zstd(stored, head.size)
        return _lz4(stored, head.size) if head.compression else stored
    except (zstandard.ZstdError, RuntimeError, EOFError):  # lz4 raises RuntimeError
        return None


def _zstd(stored: bytes, size: int) -> bytes | None:
    if zstandard.frame_content_size(stored) != size:  # unknown, or a lie
        return None
    if not hasattr(_of_thread, "zstd"):
        _of_thread.zstd = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    content: bytes = _of_thread.zstd.decompress(stored, allow_extra_data=False)
    return content


def _lz4(stored: bytes, size: int) -> bytes | None:
    import lz4.frame  # here: most recordings do without it

    if lz4.frame.get_frame_info(stored)["content_size"] != size:
        return None
    content, used = lz4.frame.decompress(stored, return_bytes_read=True)
    return content if used == len(stored) else None


_of_thread = threading.local()  # making a decompressor takes as long as a small chunk


def _in_blocks(reader: Reader, head: ChunkHead, spool: Path) -> tuple[Content, int]:
    """At most one byte more than the chunk says, so that a bomb is seen and not unpacked; with the CRC."""
    stream = _opened(head.compression, Stream(reader, head.start, head.stored))
    if head.size <= IN_MEMORY:
        memory = io.BytesIO()
        crc = _copy(stream, memory, head.size + 1)
        return memory.getvalue(), crc
    with tempfile.TemporaryFile(dir=spool) as disk:
        crc = _copy(stream, disk, head.size + 1)
        disk.flush()
        return (mmap.mmap(disk.fileno(), 0, access=mmap.ACCESS_READ) if disk.tell() else b""), crc


def _copy(source: IO[bytes] | io.RawIOBase, target: IO[bytes], limit: int) -> int:
    """Copy until the source ends, breaks, or has given `limit` bytes; returns the CRC of what it gave."""
    crc = 0
    while limit > 0:
        try:
            block = source.read(min(_BLOCK, limit))
        except (zstandard.ZstdError, RuntimeError, EOFError):
            break
        if not block:
            break
        crc = zlib_ng.crc32(block, crc)
        target.write(block)
        limit -= len(block)
    return crc


def _opened(compression: str, stored: Stream) -> IO[bytes] | io.RawIOBase:
    if compression == "":
        return stored
    buffered = io.BufferedReader(stored, _BLOCK)
    if compression == "zstd":
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        return decompressor.stream_reader(buffered, read_across_frames=True)
    if compression == "lz4":
        import lz4.frame

        unpacked: IO[bytes] = lz4.frame.LZ4FrameFile(buffered)
        return unpacked
    raise ChunkDamaged(f"its compression {compression!r} is not known")
