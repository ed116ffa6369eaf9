"""Who does the work: some threads, or nobody but the caller."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Generic, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGEST = 16 * 1024 * 1024  # bytes that are taken from the pool: those of most chunks
_KEPT = 4 * _LARGEST  # bytes that may be free at its end
MOST = 4  # workers, unless somebody asks for more


class Task(Protocol[R_co]):
    """Work that somebody does, or has done."""

    def done(self) -> bool:
        """Whether `result` returns at once."""
        ...

    def result(self) -> R_co:
        """What the work gave; raises what it raised."""
        ...


class Crew:
    """`size` workers. One worker is the caller: the work is done when its result is asked for."""

    def __init__(self, size: int) -> None:
        self.size = size
        if size > 1:
            _share_memory()
        self._pool = ThreadPoolExecutor(size) if size > 1 else None

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Task[R]:
        """Have something done."""
        return self._pool.submit(work, *args, **kwargs) if self._pool else _Own(lambda: work(*args, **kwargs))


class _Own(Generic[R]):
    def __init__(self, work: Callable[[], R]) -> None:
        self._work = work

    def done(self) -> bool:
        return True

    def result(self) -> R:
        return self._work()


@cache
def _share_memory() -> None:
    """One pool of memory for all threads, which keeps what a chunk took for the next one.

    glibc gives each thread its own (mallopt(3)), and each keeps what large chunks took: twice the memory, and with it
    more time. What is free at the end of a pool it gives back again and again, and has it filled with zeros.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)


def available() -> int:
    """As many workers as this process has CPUs, at most MOST."""
    return min(MOST, len(os.sched_getaffinity(0)))
