"""The marks that every process of a stack bears, by which whatever a crash has left of it is found.

They are two variables of its environment, which children inherit, also those that leave their group. But a process can
hide its environment from everybody except root, and Airflow's do as soon as they run a task: PR_SET_DUMPABLE, prctl(2).
What none can hide are its limits. So the marks are written, as a number, also into one that is inherited in the same
way and has had no effect since Linux 2.4.25: RLIMIT_LOCKS, setrlimit(2). A list of processes or sessions would miss
what is started while its writer is killed, and their ids are used again.
"""

import contextlib
import os
import re
import resource
import signal
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

STACK = "FIELDPIPE_STACK"
SERVICE = "FIELDPIPE_SERVICE"
KILL_SECONDS = 5.0  # a killed process that is not gone by then hangs in the kernel

_RLIMIT_LOCKS = 10  # asm-generic/resource.h; Python does not name it
_SERVICES = 2**31  # so many numbers a stack has: one for each service
_setting = threading.Lock()  # the limit belongs to all threads


@contextlib.contextmanager
def inherited(environment: Mapping[str, str]) -> Iterator[None]:
    """Processes started inside get the marks of this environment also as a number, from their first moment."""
    number = _digest(environment.get(STACK, "")) * _SERVICES + _digest(environment.get(SERVICE, ""))
    with _setting:
        try:
            before, most = resource.getrlimit(_RLIMIT_LOCKS)
        except ValueError:  # a system without it
            yield
            return
        _set_limit(number, most)
        try:
            yield
        finally:
            _set_limit(before, most)  # else what this process starts later, for itself, would bear the marks too


def marked(stack: str, service: str | None = None) -> list[psutil.Process]:
    """All processes of a stack (or of one service) and their descendants, except this process and its ancestors."""
    wanted = {STACK: stack} | ({SERVICE: service} if service else {})
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # it has ended meanwhile
            if _bears(process, wanted):
                family = [process, *process.children(recursive=True)]
                found.update({member.pid: member for member in family})
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for pid, process in found.items() if pid not in own]


def sweep(stack: str, service: str | None = None, *, seconds: float = 3.0) -> int:
    """End everything that is left of a stack (or of one service), politely for `seconds`; returns how many there were.

    Looks again until nothing is found: what was just being started shows its environment a moment later.
    """
    asked: set[int] = set()
    begin = time.monotonic()
    while (found := marked(stack, service)) and time.monotonic() < begin + seconds + KILL_SECONDS:
        polite = time.monotonic() < begin + seconds
        for process in found:
            if not polite or process.pid not in asked:
                with contextlib.suppress(psutil.Error):  # it has ended, or became another user's (set-user-id)
                    process.send_signal(signal.SIGTERM if polite else signal.SIGKILL)
        asked |= {process.pid for process in found}
        psutil.wait_procs(found, timeout=0.1)
    return len(asked)


def _bears(process: psutil.Process, wanted: Mapping[str, str]) -> bool:
    try:
        return wanted.items() <= process.environ().items()
    except psutil.AccessDenied:
        if process.status() == psutil.STATUS_ZOMBIE:  # its limits stay until its parent looks, and nothing can end it
            return False
        stack, service = divmod(_limit(process.pid), _SERVICES)
        return stack == _digest(wanted[STACK]) and (SERVICE not in wanted or service == _digest(wanted[SERVICE]))


def _set_limit(number: int, most: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # not every sandbox lets it be set
        resource.setrlimit(_RLIMIT_LOCKS, (number, most))


def _limit(pid: int) -> int:
    """The soft limit; 0 when there is none."""
    found = re.search(r"^Max file locks +(\d+)", Path(f"/proc/{pid}/limits").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _digest(mark: str) -> int:
    """31 bits."""
    return zlib.crc32(mark.encode()) >> 1
