"""The line on a terminal."""

import io
import re

import pytest

from fieldpipe.recordings import progress
from fieldpipe.recordings.progress import Progress
from tests.builders import MemoryReader

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def every_read_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0)


def test_it_tells_how_far_how_fast_and_how_long_and_is_gone_in_the_end() -> None:
    terminal = io.StringIO()

    with Progress(MemoryReader(bytes(4 * MIB)), terminal) as reader:
        content = reader.read(0, MIB)
        reader.read(MIB, 3 * MIB)

    shown = terminal.getvalue().split("\r")
    assert content == bytes(MIB)
    assert re.fullmatch(r"\[#{7} {23}\]  25%  1 MiB  [\d,]+ MiB/s  \d+:\d\d left\x1b\[K", shown[1])
    assert re.fullmatch(r"\[#{30}\] 100%  4 MiB  [\d,]+ MiB/s  0:00 left\x1b\[K", shown[2])
    assert shown[3:] == ["\x1b[K"]


def test_what_is_left_out_is_not_waited_for() -> None:
    terminal = io.StringIO()

    with Progress(MemoryReader(bytes(4 * MIB)), terminal) as reader:
        reader.expect([(0, MIB), (3 * MIB, 4 * MIB)])
        reader.read(0, MIB)

    assert " 50%  1 MiB " in terminal.getvalue()


def test_an_empty_recording_is_no_division_by_zero() -> None:
    terminal = io.StringIO()

    with Progress(MemoryReader(b""), terminal) as reader:
        reader.expect([])
        reader.read(0, 10)

    assert "  0%  0 MiB " in terminal.getvalue()
