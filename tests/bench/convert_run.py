"""A command, run to its end and measured: CPU, wall clock, memory, and what it wrote."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldpipe.errors import PermanentError
from tests.bench.convert_peers import PROJECT
from tests.memory import Peak

_LOOKS = 0.002  # seconds between two looks for the first byte
_MEMORY_LOOKS = 0.1  # seconds between two looks at the memory: what is looked at waits meanwhile
_MEGABYTE = 1_000_000
_CLAIMED = 700 * _MEGABYTE  # of memory: for results in the page cache


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command took. `cpu`: seconds of user and system time, of all its threads and the processes it waited for.

    `peak`: the most resident memory (ru_maxrss), `private`: the most that it shared with nobody (the Private lines of
    smaps_rollup, looked at as long as it runs; 0 if it was not), both in bytes. `rows` are lines behind the headings of
    its CSV files. `first`: seconds from its start to the first byte on disk, if that was asked.
    """

    cpu: float
    wall: float
    peak: int
    private: int
    written: int
    rows: int
    first: float = 0.0


class Bench:
    """Runs commands whose results go to a folder that is empty before and after."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self._aside = folder / "aside"
        self._temporary = folder / "tmp"
        self._log = folder / "log"
        self._clear()
        self.remove_aside()

    def run(self, command: Sequence[str], *, watch_first: bool = False, watch_memory: bool = True) -> Usage:
        """Run it to its end. Raises PermanentError with the last lines that it said if it failed."""
        self._clear()
        claim_memory(self._temporary)
        environment = {**os.environ, "TMPDIR": str(self._temporary)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # nobody's modules shall be compiled in every run
        with self._log.open("wb") as log:
            begin = time.monotonic()
            process = subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
            memory = Peak(process.pid, private=True, seconds=_MEMORY_LOOKS) if watch_memory else None
            first = self._await_first(process) - begin if watch_first else 0.0
            _, status, used = os.wait4(process.pid, 0)
            wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        private = memory.most() if memory else 0
        if process.returncode != 0:
            said = self._log.read_text(errors="replace")[-2000:]
            raise PermanentError(f"{' '.join(command)}: exit code {process.returncode}\n{said}")
        written, rows = _results(self.out)
        self._clear()
        return Usage(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * 1024, private, written, rows, first)

    def put_aside(self) -> None:
        """Let the results of the next runs stay, until `remove_aside`.

        ext4 looks long for inodes where thousands were freed in the last minutes, and would be what is measured.
        """
        self._aside.mkdir(parents=True)

    def remove_aside(self) -> None:
        """Remove what stayed, and let nothing stay from now on."""
        shutil.rmtree(self._aside, ignore_errors=True)

    def said(self) -> str:
        """What the last command printed."""
        return self._log.read_text()

    def _await_first(self, process: subprocess.Popen[bytes]) -> float:
        """When the first byte of a result is on disk, finished or not."""
        while not any(_has_bytes(folder) for folder in (self._temporary, self.out)):
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(_LOOKS)
        return time.monotonic()

    def _clear(self) -> None:
        if self._aside.exists() and self.out.exists():
            self.out.rename(self._aside / str(len([*self._aside.iterdir()])))
        for folder in (self.out, self._temporary):
            shutil.rmtree(folder, ignore_errors=True)
        self._temporary.mkdir(parents=True)


def claim_memory(folder: Path) -> None:
    """Have memory for what will be written next.

    The host of a virtual machine may take back what lay free for two seconds. Who needs it then waits until it is there
    again, and the CPU seconds of that are counted as his: up to 0.9 for 500 MB of results that take 0.05.
    """
    file = folder / "memory"
    block = bytes(_MEGABYTE)
    with file.open("wb", buffering=0) as taken:
        for _ in range(_CLAIMED // _MEGABYTE):
            taken.write(block)
    file.unlink()


def megabytes(size: float) -> str:
    """A size for people."""
    return f"{size / _MEGABYTE:,.0f} MB"


def _has_bytes(folder: Path) -> bool:
    try:
        return any(path.is_file() and path.stat().st_size for path in folder.rglob("*"))
    except FileNotFoundError:  # it was moved between the two
        return False


def _results(folder: Path) -> tuple[int, int]:
    """Bytes of all files, and lines of CSV files behind their first; lists of what was not decoded do not count."""
    written = rows = 0
    for path in folder.rglob("*"):
        if path.is_file():
            written += path.stat().st_size
        if path.suffix == ".csv" and not path.name.endswith(".raw.csv"):
            rows += _lines(path) - 1
    return written, rows


def _lines(path: Path) -> int:
    count = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            count += block.count(b"\n")
    return count
