"""How far two processors are from each other: a host moves those of a virtual machine, and not all share a cache."""

from __future__ import annotations

import os
import time
from mmap import PAGESIZE, mmap

TURNS = 10_000
_PATIENCE = 10_000_000  # looks at the byte


def round_trip() -> float | None:
    """Seconds that a byte takes to another processor and back, each with a loop of Python.

    None where there is one, or the other is busy with something else.
    """
    usable = os.sched_getaffinity(0)
    if len(usable) < 2:
        return None
    here, there = sorted(usable)[:2]
    with mmap(-1, PAGESIZE) as shared:
        child = os.fork()
        if child == 0:
            try:
                _exchange(shared, there, awaited=1)
            finally:
                os._exit(0)
        try:
            seconds = _exchange(shared, here, awaited=0)
        finally:
            os.sched_setaffinity(0, usable)
            os.waitpid(child, 0)
    return seconds and seconds / TURNS


def _exchange(shared: mmap, processor: int, awaited: int) -> float | None:
    os.sched_setaffinity(0, {processor})
    began = 0.0
    for turn in range(TURNS + 2):
        looks = 0
        while shared[0] != awaited:
            looks += 1
            if looks > _PATIENCE:
                return None
        if turn == 1:  # now the other process is there
            began = time.perf_counter()
        shared[0] = 1 - awaited
    return time.perf_counter() - began


if __name__ == "__main__":
    seconds = round_trip()
    print("not known" if seconds is None else f"{seconds * 1e9:.0f} ns")
