"""Logs of a stack stay bounded: a file that grew large keeps its newest part, once as `.1`; old task logs go."""

import shutil
import time
from pathlib import Path

LARGEST = 10 * 1024 * 1024  # bytes
OLDEST = 30 * 86400  # seconds


def trim(folder: Path) -> None:
    """Move what a large log holds to `<log>.1` and empty it: its writer appends, so it goes on at the start."""
    for file in folder.glob("*.log"):
        if file.stat().st_size > LARGEST:
            shutil.copyfile(file, file.with_name(f"{file.name}.1"))
            with file.open("r+b") as writable:
                writable.truncate(0)


def forget(folder: Path, *, now: float | None = None) -> None:
    """Delete Airflow's logs that nobody has written to for a month, and folders that are empty then."""
    oldest = (time.time() if now is None else now) - OLDEST
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_symlink():
            continue
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
