"""Waiting for something to come true, with a deadline; the only place where tests sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

Value = TypeVar("Value")


def eventually(
    find: Callable[[], Value | None], seconds: float = 10.0, state: Callable[[], object] | None = None
) -> Value:
    """The first value that is true, asked for again and again; fails when the time is up, with what `state` says."""
    deadline = time.monotonic() + seconds
    pause = 0.01
    while not (value := find()):
        assert time.monotonic() < deadline, f"it did not come true in time\n{state() if state else ''}"
        time.sleep(pause)
        pause = min(pause * 1.2, 0.05)
    return value


def arguments(process: psutil.Process) -> str:
    """What it was called with; nothing if it has ended meanwhile, buried or not."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def is_stopped(pid: int) -> bool:
    """Whether a process that is still there was stopped by a signal, or has stopped itself."""
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def alive(process: psutil.Process | int) -> bool:
    """Whether it still runs; one that has ended and that nobody has buried (a zombie) does not. By its number, too."""
    try:
        found = psutil.Process(process) if isinstance(process, int) else process
        return found.is_running() and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
