"""Files that take room on the disk ahead of what is written."""

import ctypes
import os
from pathlib import Path

import pytest

from fieldpipe.recordings.outputs import Output
from fieldpipe.recordings.room import MOST, SHARE, SMALL, Room
from fieldpipe.recordings.spool import LARGE, Spool

ON_DISK = 512  # bytes: the unit of st_blocks
EXTRA = 64 * 1024  # bytes that a file system may need for a file besides


def taken(path: Path) -> int:
    """Bytes of the disk."""
    return path.stat().st_blocks * ON_DISK


@pytest.fixture
def _supported(tmp_path: Path) -> None:
    with (tmp_path / "probe").open("wb") as file:
        if ctypes.CDLL(None).fallocate(file.fileno(), 1, ctypes.c_long(0), ctypes.c_long(SMALL)) != 0:
            pytest.skip(f"the file system of {tmp_path} has no fallocate(2)")


@pytest.mark.usefixtures("_supported")
def test_a_large_file_has_room_while_it_grows_and_gives_back_what_it_did_not_need(tmp_path: Path) -> None:
    size = 8 * SMALL
    with Spool(tmp_path) as spool:
        part = spool.part("a.csv")
        spare = []
        for number in range(size // LARGE):
            part.write(number.to_bytes(2, "big") * (LARGE // 2))
            assert part.path.stat().st_size == part.size
            spare.append(taken(part.path) - part.size)
        output = Output.of(part, "a.csv", "table")

    assert max(spare[: SMALL // LARGE]) <= EXTRA
    assert EXTRA < max(spare) <= size // SHARE + EXTRA
    assert taken(output.path) <= size + EXTRA
    assert output.path.read_bytes() == b"".join(n.to_bytes(2, "big") * (LARGE // 2) for n in range(size // LARGE))


@pytest.mark.usefixtures("_supported")
def test_the_room_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        end = 100 * MOST
        os.truncate(file.fileno(), end)  # nothing is written, so nothing is taken
        Room().make(file.fileno(), end, end + LARGE)

        assert LARGE + MOST <= taken(path) <= LARGE + MOST + EXTRA


def test_where_there_is_no_such_thing_nothing_is_asked_for_again(tmp_path: Path) -> None:
    reader, writer = os.pipe()  # has no room to reserve
    try:
        room = Room()
        room.make(writer, 0, 2 * SMALL)
        path = tmp_path / "a.csv"
        with path.open("wb") as file:
            room.make(file.fileno(), 2 * SMALL, 8 * SMALL)
        assert taken(path) == 0
    finally:
        os.close(reader)
        os.close(writer)
