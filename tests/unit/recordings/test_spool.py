"""Files that grow: their sums, and the memory of what waits for them."""

import hashlib
import resource
from functools import partial
from pathlib import Path

import pytest

from fieldpipe.recordings.spool import BEHIND, LARGE, Spool, write_new


@pytest.mark.parametrize("beside", [False, True])
def test_a_block_is_given_back_when_its_sum_is_taken_and_few_wait(beside: bool, tmp_path: Path) -> None:
    free: list[bytearray] = []
    made = 0
    with Spool(tmp_path, beside=beside) as spool:
        part = spool.part("a.csv")
        for number in range(1000):
            if not free:
                free.append(bytearray(LARGE))
                made += 1
            block = free.pop()
            block[:] = number.to_bytes(2, "big") * (LARGE // 2)
            part.write(memoryview(block))
            part.later(partial(free.append, block))
        found = part.sha256

    assert found == hashlib.sha256(part.path.read_bytes()).hexdigest()
    assert made <= BEHIND + 2  # one that is summed, and one that is written


class NoMemory:
    """A sum for which there is no memory."""

    def update(self, content: bytes | memoryview, /) -> None:
        raise MemoryError

    def hexdigest(self) -> str:
        raise NotImplementedError


@pytest.mark.parametrize("beside", [False, True])
def test_too_little_memory_for_a_sum_is_an_error_and_nobody_waits_for_ever(beside: bool, tmp_path: Path) -> None:
    done: list[int] = []
    with Spool(tmp_path, beside=beside) as spool, pytest.raises(MemoryError):  # noqa: PT012 -- whichever is first to know
        for number in range(2 * BEHIND):
            spool.sum_later((NoMemory(), b"row"))
            spool.later(partial(done.append, number))
        spool.wait()

    assert done == (list(range(2 * BEHIND)) if beside else [0])


def test_a_picture_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as on a full disk, a part is taken
    try:
        with pytest.raises(OSError, match="File too large"):
            write_new(str(tmp_path / "a.jpg"), bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
