"""The floor: what no converter that writes these numbers can do without, and nothing else.

    python -m tests.bench.convert_floor RECORDING WRITTEN DOUBLES FOLDER [ours]

Reads the chunks of a recording, decompresses them, takes their CRCs, writes DOUBLES numbers as text (the same mix of
full precision and zeros as in the recording, from a block that stays in the cache) and WRITTEN bytes into a file. It
finds no messages, decodes nothing, writes no other column and puts nothing in its place. One thread; prints the CPU
seconds of each part as JSON, without those of starting Python.

The printer of doubles is the compiled executor's, one number at a time and without vectors, which is as fast as the
published ones; the file grows as it is written. With `ours`, numbers are printed together and the file has room ahead,
as in the converter: whatever makes that faster lowers this floor.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import zstandard
from mcap.opcode import Opcode
from zlib_ng import zlib_ng

from fieldpipe.recordings.chunks import HEAD_SIZE, parse_head
from fieldpipe.recordings.room import Room
from tests.bench.convert_robot import doubles
from tests.bench.convert_run import claim_memory

PARTS = ("read", "decompress", "crc", "format", "write")
_MAGIC = 8  # bytes
_HEADER = 9  # bytes: opcode and length of a record
_SAMPLE = 65_536  # doubles
_LINE = 41  # bytes that a double may take with the separator


def main() -> None:
    """Measure."""
    recording, written, count, folder = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    print(json.dumps(floor(recording, written, count, folder, as_ours=sys.argv[5:] == ["ours"])))


def floor(recording: Path, written: int, count: int, folder: Path, *, as_ours: bool) -> dict[str, float]:
    """CPU seconds by part; `sha256` is no part of the floor, but of what a manifest costs."""
    folder.mkdir(exist_ok=True)
    spent = dict.fromkeys((*PARTS, "sha256"), 0.0)
    with recording.open("rb") as source:
        chunks = list(_chunks(source, recording.stat().st_size))
        printer = _Printer(together=as_ours)
        block = _text(written // len(chunks) + 1)
        digest = hashlib.sha256()
        room, end = Room(), 0
        claim_memory(folder)
        with (folder / "floor.csv").open("wb", buffering=0) as target:
            for start, stored, size in chunks:
                with _counted(spent, "read"):
                    source.seek(start)
                    packed = source.read(stored)
                with _counted(spent, "decompress"):
                    content = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
                with _counted(spent, "crc"):
                    zlib_ng.crc32(content)
                with _counted(spent, "format"):
                    printer.write(count // len(chunks))
                with _counted(spent, "write"):
                    if as_ours:
                        room.make(target.fileno(), end, end + len(block))
                    end += target.write(block)
                with _counted(spent, "sha256"):
                    digest.update(block)
    return spent


@contextmanager
def _counted(spent: dict[str, float], part: str) -> Iterator[None]:
    begin = time.process_time()
    yield
    spent[part] += time.process_time() - begin


def _chunks(file: IO[bytes], size: int) -> Iterator[tuple[int, int, int]]:
    """Where the compressed bytes of each chunk are, how many, and how many they become."""
    position = _MAGIC
    while position < size - _MAGIC:
        file.seek(position)
        header = file.read(_HEADER)
        opcode, length = header[0], int.from_bytes(header[1:], "little")
        if opcode == Opcode.CHUNK:
            head = parse_head(file.read(HEAD_SIZE), position + _HEADER, length)
            yield head.start, head.stored, head.size
        position += _HEADER + length


class _Printer:
    """Writes doubles as text, in circles over a sample, into a buffer that is used again."""

    def __init__(self, *, together: bool) -> None:
        spec = find_spec("fieldpipe.recordings._native")
        if spec is None or spec.origin is None:
            raise SystemExit("the floor is measured with the compiled executor's printer, which is not built")
        native = ctypes.CDLL(spec.origin)
        native.fieldpipe_write_wide(ctypes.c_bool(together))
        self._write = native.fieldpipe_write_doubles
        self._write.restype = ctypes.c_uint64
        self._sample = doubles(seed=1)
        self._at = 0
        self._text = ctypes.create_string_buffer(_SAMPLE * _LINE)

    def write(self, count: int) -> None:
        """Print that many."""
        while count:
            step = min(count, _SAMPLE, len(self._sample) - self._at)
            address = self._sample.ctypes.data + 8 * self._at
            together = ctypes.c_uint64(step)
            self._write(ctypes.c_void_p(address), ctypes.c_uint64(step), self._text, together)
            self._at = (self._at + step) % len(self._sample)
            count -= step


def _text(size: int) -> bytes:
    return (b"0.123456789012345678,\n" * (size // 22 + 1))[:size]


if __name__ == "__main__":
    main()
