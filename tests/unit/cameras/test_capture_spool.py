"""Frames wait on disk: in order, whole, below the limit; what is given up is counted."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Literal

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fieldpipe.cameras.capture import framefile
from fieldpipe.cameras.capture.settings import SpoolSettings
from fieldpipe.cameras.capture.spool import Spool, Waiting
from fieldpipe.cameras.capture.status import FILE, Tally
from fieldpipe.errors import TransientError

BLOCK = 4096
LIMIT = 8 * BLOCK
ALL = (1000, 1 << 30, 0.0)  # take(*ALL): whatever there is, at once


@pytest.fixture
def kept(tmp_path: Path) -> SpoolSettings:
    return SpoolSettings(tmp_path / "spool", LIMIT, "oldest", 5)


def messages(spool: Spool) -> list[bytes | None]:
    return [spool.read(frame) for frame in spool.take(*ALL)]


def opened(kept: SpoolSettings) -> tuple[Spool, Tally]:
    tally = Tally(kept.folder)
    return Spool(kept, tally), tally


def test_what_is_put_in_comes_out_in_order_and_only_once(kept: SpoolSettings) -> None:
    spool, _ = opened(kept)
    for message in (b"1", b"2", b"3"):
        spool.put(message, 1_700_000_000_000_000)  # a clock that stands still

    first = spool.take(2, 1 << 30, 0)

    assert [spool.read(frame) for frame in first] == [b"1", b"2"]
    assert messages(spool) == [b"3"]
    assert spool.take(*ALL) == []


def test_no_more_bytes_are_taken_than_asked_for_but_one_frame_always(kept: SpoolSettings) -> None:
    spool, _ = opened(kept)
    for _ in range(3):
        spool.put(bytes(BLOCK), 0)

    assert [len(spool.take(10, most, 0)) for most in (1, 4 * BLOCK)] == [1, 2]


def test_what_was_not_sent_comes_again_and_what_was_is_gone(kept: SpoolSettings) -> None:
    spool, _ = opened(kept)
    spool.put(b"1", 0)
    spool.put(b"2", 0)
    one, two = spool.take(*ALL)

    spool.remove(one)
    spool.give_back([two])

    assert messages(spool) == [b"2"]
    assert spool.waiting()[:2] == (1, BLOCK)


def test_a_new_process_finds_all_of_it_and_goes_on_with_higher_numbers(kept: SpoolSettings) -> None:
    spool, _ = opened(kept)
    spool.put(b"1", 1_700_000_000_000_000)
    spool.put(b"2", 1_700_000_000_000_000)
    spool.take(*ALL)
    spool.close()

    again, _ = opened(kept)
    again.put(b"3", 0)  # a clock that went back

    assert messages(again) == [b"1", b"2", b"3"]


def test_two_processes_cannot_have_one_spool(kept: SpoolSettings) -> None:
    spool, _ = opened(kept)

    with pytest.raises(TransientError, match="another process uses it"):
        opened(kept)
    spool.close()
    opened(kept)


def test_when_it_is_full_the_oldest_that_is_not_being_sent_is_dropped_and_counted(kept: SpoolSettings) -> None:
    spool, tally = opened(kept)
    for number in range(8):
        spool.put(b"%d" % number, 0)
    (sending,) = spool.take(1, 1, 0)

    assert spool.put(b"8", 0)

    assert spool.read(sending) == b"0"
    assert messages(spool) == [b"2", b"3", b"4", b"5", b"6", b"7", b"8"]
    assert tally.counts()["dropped"] == 1


def test_when_it_is_full_the_newest_is_dropped_if_that_was_chosen(kept: SpoolSettings) -> None:
    spool, tally = opened(replace(kept, when_full="newest"))
    for number in range(8):
        spool.put(b"%d" % number, 0)

    assert not spool.put(b"8", 0)

    assert messages(spool) == [b"%d" % number for number in range(8)]
    assert tally.counts()["dropped"] == 1


def test_a_frame_larger_than_the_whole_spool_is_dropped_and_costs_no_other(kept: SpoolSettings) -> None:
    spool, tally = opened(kept)
    spool.put(b"1", 0)

    assert not spool.put(bytes(LIMIT), 0)

    assert (messages(spool), tally.counts()["dropped"]) == ([b"1"], 1)


def test_what_was_set_aside_counts_and_goes_first(kept: SpoolSettings) -> None:
    spool, tally = opened(kept)
    for number in range(8):
        spool.put(b"%d" % number, 0)
    aside, *rest = spool.take(*ALL)
    spool.set_aside(aside, "too-large")
    spool.give_back(rest)
    assert spool.waiting()[:2] == (7, 8 * BLOCK)

    spool.put(b"8", 0)

    assert list((kept.folder / "too-large").iterdir()) == []
    assert messages(spool) == [b"%d" % number for number in range(1, 9)]
    assert tally.counts()["dropped"] == 1


def test_what_was_set_aside_is_tried_again_when_it_is_moved_back(kept: SpoolSettings) -> None:
    spool, _ = opened(kept)
    spool.put(b"1", 0)
    spool.put(b"2", 0)
    spool.set_aside(spool.take(1, 1, 0)[0], "too-large")
    spool.close()

    for file in (kept.folder / "too-large").iterdir():
        file.rename(kept.folder / file.name)

    assert messages(opened(kept)[0]) == [b"1", b"2"]


@pytest.mark.parametrize("content", [b"", b"FPS1", b"FPS1\x00\x00\x00\x00no", b"other"])
def test_a_damaged_frame_is_moved_aside_and_the_others_come(content: bytes, kept: SpoolSettings) -> None:
    spool, tally = opened(kept)
    spool.put(b"1", 5)
    spool.put(b"2", 6)
    (kept.folder / framefile.name(5)).write_bytes(content)

    assert messages(spool) == [None, b"2"]
    assert [file.name for file in (kept.folder / "damaged").iterdir()] == [framefile.name(5)]
    assert tally.counts()["damaged"] == 1


def test_a_frame_that_somebody_deleted_is_counted_as_damaged(kept: SpoolSettings) -> None:
    spool, tally = opened(kept)
    spool.put(b"1", 5)
    (kept.folder / framefile.name(5)).unlink()

    assert messages(spool) == [None]
    assert (spool.waiting(), tally.counts()["damaged"]) == ((0, 0, None), 1)


def test_a_limit_that_was_lowered_holds_from_the_next_start_on(kept: SpoolSettings) -> None:
    spool, _ = opened(kept)
    for number in range(8):
        spool.put(b"%d" % number, 0)
    spool.close()

    smaller, tally = opened(replace(kept, limit=2 * BLOCK))

    assert (messages(smaller), tally.counts()["dropped"]) == ([b"6", b"7"], 6)


class FullDisk:
    """Refuses to write while there are more than so many frames."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, error: int, most: int) -> None:
        write = framefile.write

        def limited(path: Path, message: bytes) -> None:
            if len(list(folder.glob("*.frame"))) >= most:
                raise OSError(error, os.strerror(error))
            write(path, message)

        monkeypatch.setattr(framefile, "write", limited)


def test_a_disk_that_is_full_before_the_spool_is_the_same(kept: SpoolSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, tally = opened(kept)
    FullDisk(monkeypatch, kept.folder, errno.ENOSPC, 2)

    assert [spool.put(b"%d" % number, 0) for number in range(4)] == [True] * 4

    assert (messages(spool), tally.counts()["dropped"]) == ([b"2", b"3"], 2)


def test_a_disk_that_is_full_of_others_files_costs_the_frame(
    kept: SpoolSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, tally = opened(kept)
    FullDisk(monkeypatch, kept.folder, errno.ENOSPC, 0)

    assert not spool.put(b"1", 0)
    assert (spool.waiting()[:2], tally.counts()["dropped"]) == ((0, 0), 1)


def test_a_disk_that_does_not_work_is_an_error(kept: SpoolSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, _ = opened(kept)
    FullDisk(monkeypatch, kept.folder, errno.EIO, 0)

    with pytest.raises(TransientError, match=r"cannot be written: .*Input/output error"):
        spool.put(b"1", 0)


def test_a_spool_that_cannot_be_made_is_an_error(kept: SpoolSettings) -> None:
    kept.folder.write_bytes(b"a file")

    with pytest.raises(TransientError, match="cannot be used"):
        opened(kept)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was made safe from a power cut."""
    names: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    return names


def test_what_waits_is_safe_from_a_power_cut_once_it_was_synced(kept: SpoolSettings, synced: list[str]) -> None:
    spool, _ = opened(kept)
    for number in range(1, 4):
        spool.put(b"", number)
    (sent,) = spool.take(1, 1, 0)
    spool.remove(sent)

    spool.sync()
    spool.sync()

    assert synced == [framefile.name(2), framefile.name(3), "spool"]


def test_each_frame_is_safe_at_once_if_that_was_chosen(kept: SpoolSettings, synced: list[str]) -> None:
    spool, _ = opened(replace(kept, sync=0))

    spool.put(b"1", 1)

    assert synced == [framefile.name(1), "spool"]


@pytest.mark.parametrize("before", ["", "[]", "{}", '{"sent": "many"}', '{"sent": null}'])
def test_counters_go_on_after_a_restart_and_a_broken_file_is_no_obstacle(before: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(before)
    tally = Tally(tmp_path)
    tally.count("sent")
    tally.write({"waiting": 0})

    again = Tally(tmp_path)
    again.count("sent", 2)

    assert again.counts() == {"captured": 0, "sent": 3, "dropped": 0, "too_large": 0, "damaged": 0}


def test_a_status_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    tally = Tally(tmp_path)
    tally.write({"waiting": 1})
    (tmp_path / "status.part").mkdir()  # as good as a full disk

    tally.write({"waiting": 2})

    assert '"waiting": 1' in (tmp_path / FILE).read_text()


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order, restarts included: only what is counted is lost, and the limit holds."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[bytes] = []
        self.taken: dict[Waiting, bytes] = {}
        self.count = 0

    @initialize(when_full=st.sampled_from(["oldest", "newest"]), limit=st.integers(1, 6))
    def begin(self, when_full: Literal["oldest", "newest"], limit: int) -> None:
        self.kept = SpoolSettings(Path(mkdtemp(prefix="fp-spool-")), limit * BLOCK, when_full, 5)
        self.tally = Tally(self.kept.folder)
        self.spool = Spool(self.kept, self.tally)

    @rule(blocks=st.integers(1, 3), time=st.integers(0, 50))
    def put(self, blocks: int, time: int) -> None:
        self.count += 1
        message = b"%d " % self.count + bytes((blocks - 1) * BLOCK)
        before = self.tally.counts()["dropped"]
        if self.spool.put(message, time):
            self.waiting.append(message)
        else:
            before += 1
        for _ in range(self.tally.counts()["dropped"] - before):
            free = [each for each in self.waiting if each not in self.taken.values()]
            self.waiting.remove(free[0])

    @rule(most=st.integers(1, 3))
    def take(self, most: int) -> None:
        for frame in self.spool.take(most, 1 << 30, 0):
            message = self.spool.read(frame)
            assert message is not None
            self.taken[frame] = message

    @rule(data=st.data(), sent=st.booleans())
    def settle(self, data: st.DataObject, sent: bool) -> None:
        if not self.taken:
            return
        frame = data.draw(st.sampled_from(sorted(self.taken)))
        message = self.taken.pop(frame)
        if sent:
            self.spool.remove(frame)
            self.waiting.remove(message)
        else:
            self.spool.give_back([frame])

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.taken.clear()
        self.spool = Spool(self.kept, self.tally)

    @invariant()
    def nothing_is_lost_and_the_limit_holds(self) -> None:
        files = framefile.found(self.kept.folder)
        assert [framefile.read(path) for path in files] == self.waiting
        assert self.spool.waiting()[:2] == (len(files), sum(files.values()))
        assert sum(files.values()) <= self.kept.limit

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            rmtree(self.kept.folder)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = hypothesis_settings(max_examples=30, stateful_step_count=30)
