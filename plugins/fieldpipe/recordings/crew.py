"""Who does the work: some threads, or nobody but the caller."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from threading import Thread

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGEST = 16 * 1024 * 1024  # bytes that are taken from the pool: those of most chunks
_KEPT = 4 * _LARGEST  # bytes that may be free at the ends of all pools
MOST = 4  # workers, unless somebody asks for more


def work_together(workers: int, work: Callable[[], None], stop: Callable[[], None]) -> None:
    """Have so many threads do the same, or the caller alone. Returns when all have; raises what one of them raised.

    `stop` makes them return soon: when one has failed, or the caller is interrupted.
    """
    if workers == 1:
        work()
        return
    _keep_memory(workers)
    failures: list[BaseException] = []

    def watched() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- whatever it is, it is raised where the work was asked for
            failures.append(error)
            stop()

    threads: list[Thread] = []
    try:
        for _ in range(workers):
            thread = Thread(target=watched)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()
    finally:
        stop()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


@cache
def _keep_memory(workers: int) -> None:
    """A pool of memory for each worker and no more, which keeps what a chunk took for the next one.

    glibc makes eight for every processor (mallopt(3)), and takes no other number once there are two. What is free at
    the end of a pool it gives back again and again, and has it filled with zeros.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, workers)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        mallopt(_M_TRIM_THRESHOLD, _KEPT // workers)


def available() -> int:
    """As many workers as this process has CPUs, at most MOST."""
    return min(MOST, len(os.sched_getaffinity(0)))
