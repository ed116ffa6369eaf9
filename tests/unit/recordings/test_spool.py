"""Files that grow: their sums, and the memory of what waits for them."""

import hashlib
from functools import partial
from pathlib import Path

import pytest

from fieldpipe.recordings.spool import BEHIND, LARGE, Spool


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
    assert made <= BEHIND + 1
