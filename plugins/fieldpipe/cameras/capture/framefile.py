"""One frame of the spool as a file: `FPS1`, CRC-32 of the rest (4 bytes, big-endian), the SINETStream message.

It is written under another name first: what is called `<number, 16 digits>.frame` was whole when it got its name.
"""

from __future__ import annotations

import fcntl
import os
import re
import zlib
from pathlib import Path

from fieldpipe.crashpoints import reach

LOCK = "lock"

_MAGIC = b"FPS1"
_HEAD = len(_MAGIC) + 4
_NAME = re.compile(r"\d{16}\.frame")
_PART = ".part"
_BLOCK = 4096  # bytes: what the smallest file takes from a disk


def name(number: int) -> str:
    """What a frame's file is called."""
    return f"{number:016d}.frame"


def number(path: Path) -> int:
    """What `name` was made of."""
    return int(path.stem)


def size(message: bytes) -> int:
    """What a message takes from the disk, in bytes."""
    return _blocks(_HEAD + len(message))


def found(folder: Path) -> dict[Path, int]:
    """The frames of a folder in the order of their numbers, with what they take; deletes what was not finished."""
    for part in folder.glob(name(0).replace("0", "?") + _PART):
        part.unlink()
    files = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    return {path: _blocks(path.stat().st_size) for path in files}


def write(path: Path, message: bytes) -> None:
    """Raises OSError, and leaves nothing behind then."""
    part = path.with_name(path.name + _PART)
    try:
        part.write_bytes(_head(message) + message)
        reach("capture.spooling")
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def read(path: Path) -> bytes | None:
    """The message; None: there is none any more, or not as it was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    message = content[_HEAD:]
    return message if content[:_HEAD] == _head(message) else None


def sync(path: Path) -> None:
    """A file, or the names in a folder, survive a power cut when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def locked(folder: Path) -> int:
    """The folder's lock, as a file descriptor; makes the folder. Raises OSError when another process has it."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise OSError("another process uses it") from None
    return descriptor


def _head(message: bytes) -> bytes:
    return _MAGIC + zlib.crc32(message).to_bytes(4, "big")


def _blocks(count: int) -> int:
    return -(-count // _BLOCK) * _BLOCK
