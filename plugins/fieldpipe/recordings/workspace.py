"""A temporary folder per conversion, gone when the process is, even if it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "fieldpipe-recording-"
_SETTLED = 60  # seconds: a younger folder may belong to a process that has not locked it yet


@contextmanager
def workspace(parent: Path | None = None) -> Iterator[Path]:
    """An empty folder under TMPDIR, or a hidden one in `parent`, locked while it is in use."""
    prefix = f".{_PREFIX}" if parent else _PREFIX
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
        lock = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


def sweep(parent: Path | None = None) -> int:
    """Remove what killed processes left behind; returns how many folders that were."""
    old = time.time() - _SETTLED
    left = parent.glob(f".{_PREFIX}*") if parent else Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")
    return sum(_remove_if_left(path, old) for path in left)


def _remove_if_left(folder: Path, old: float) -> bool:
    try:
        lock = os.open(folder, os.O_RDONLY)
    except (FileNotFoundError, PermissionError):  # somebody swept it, or it is another user's
        return False
    try:
        if os.fstat(lock).st_mtime > old:
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(lock)
