"""Files that grow: their sums, and the memory of what waits for them."""

import hashlib
import resource
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import pytest

from fieldpipe.recordings.spool import BEHIND, LARGE, Part, Spool, write_new


def filled(free: "SimpleQueue[bytearray]", spool: Spool) -> tuple[Part, int]:
    """A file of many blocks, and how many of them were there at a time."""
    made = 0
    part = spool.part("a.csv")
    for number in range(1000):
        if free.empty():
            free.put(bytearray(LARGE))
            made += 1
        block = free.get()
        block[:] = number.to_bytes(2, "big") * (LARGE // 2)
        part.write(memoryview(block))
        part.later(partial(free.put, block))
    return part, made


@pytest.mark.parametrize("helpers", [0, 1, 3])
def test_a_block_is_given_back_when_its_sum_is_taken_and_few_wait(helpers: int, tmp_path: Path) -> None:
    is_over = Event()

    def help_out(spool: Spool) -> None:
        while not is_over.wait(0.0001):
            spool.catch_up(own=False)

    with ThreadPoolExecutor(max(helpers, 1)) as pool, Spool(tmp_path) as spool:
        helping = [pool.submit(help_out, spool) for _ in range(helpers)]
        try:
            part, made = filled(SimpleQueue(), spool)
            found = part.sha256
        finally:
            is_over.set()
        for each in helping:
            each.result()

    assert found == hashlib.sha256(part.path.read_bytes()).hexdigest()
    assert made <= BEHIND + 2  # one that is summed, and one that is written


def test_a_thread_that_has_other_work_takes_no_sums_of_what_another_one_wrote(tmp_path: Path) -> None:
    done: list[str] = []
    with ThreadPoolExecutor(1) as pool, Spool(tmp_path) as spool:
        pool.submit(spool.later, partial(done.append, "another's")).result()
        spool.later(partial(done.append, "own"))

        assert not spool.catch_up(own=True)
        assert done == []
        assert spool.catch_up(own=False)
        assert done == ["another's", "own"]
        assert not spool.catch_up(own=False)


class NoMemory:
    """A sum for which there is no memory."""

    def update(self, content: bytes | memoryview, /) -> None:
        raise MemoryError

    def hexdigest(self) -> str:
        raise NotImplementedError


def test_too_little_memory_for_a_sum_is_an_error_and_what_it_was_taken_of_is_given_back(tmp_path: Path) -> None:
    done: list[str] = []
    with Spool(tmp_path) as spool:
        spool.sum_later([(NoMemory(), b"row")])
        spool.later(partial(done.append, "released"))
        with pytest.raises(MemoryError):
            spool.catch_up(own=True)

    assert done == ["released"]


def test_a_picture_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as on a full disk, a part is taken
    try:
        with pytest.raises(OSError, match="File too large"):
            write_new(str(tmp_path / "a.jpg"), bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
