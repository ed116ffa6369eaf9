"""Files that take room on the disk ahead of what is written."""

import ctypes
import errno
import os
from hashlib import sha256
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
    """Takes as much of the disk as a file holds, and more if it is told to."""
    with (tmp_path / "probe").open("wb") as file:
        file.write(bytes(SMALL))
        file.flush()
        before = taken(tmp_path / "probe") - SMALL
        ctypes.CDLL(None).fallocate64(file.fileno(), 1, ctypes.c_int64(SMALL), ctypes.c_int64(SMALL))
        after = taken(tmp_path / "probe") - SMALL
    if before > EXTRA or after < SMALL:
        pytest.skip(f"the file system of {tmp_path} has no fallocate(2), or something of its own")


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


class Disk:
    """A folder on a disk of so many bytes: what does not fit is written in part, and then refused."""

    def __init__(self, folder: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._size = size
        self._write = os.write
        self.refused = self.parts = 0
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, block: bytes | memoryview) -> int:
        """See os.write."""
        of_others = sum(max(taken(path) - path.stat().st_size, 0) for path in self._folder.iterdir())
        held = sum(path.stat().st_size for path in self._folder.iterdir())
        own = os.fstat(descriptor)
        left = self._size - held - of_others + max(own.st_blocks * ON_DISK - own.st_size, 0)
        if left <= 0:
            self.refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.parts += left < len(block)
        return self._write(descriptor, block[: min(left, len(block))])


@pytest.mark.usefixtures("_supported")
def test_a_full_disk_gets_all_room_back_before_it_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    sizes = {"a": 60, "b": 60, "c": 10}  # blocks; the first two have some room then
    disk = Disk(folder, sum(sizes.values()) * LARGE + LARGE // 2, monkeypatch)
    with Spool(folder) as spool:
        parts = {name: spool.part(f"{name}.csv") for name in sizes}
        for name, part in parts.items():
            for number in range(sizes[name]):
                part.write(number.to_bytes(2, "big") * (LARGE // 2))
        sums = {name: part.sha256 for name, part in parts.items()}

        assert (disk.refused, disk.parts) == (1, 1)
        assert sums == {name: sha256(part.path.read_bytes()).hexdigest() for name, part in parts.items()}
        with pytest.raises(OSError, match="No space left"):
            parts["a"].write(bytes(SMALL))


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
