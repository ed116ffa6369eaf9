"""The quick part of the sentinel's demo, by the command that people type."""

import subprocess
import sys

from tests.stacks import PROJECT


def test_the_rows_follow_etcd() -> None:
    command = [sys.executable, "-m", "scripts.demo_sentinel"]
    shown = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True).stdout

    _, appear, _, newer, stopped, vanished, nonsense = (part.split("\n") for part in shown.split("in the tables after"))
    assert row(appear, "edge") == ["edge", "10.0.0.1", "0", "Ubuntu", "20.04"]
    assert row(newer, "camera") == ["camera", "edge", "1.1", "0"]
    assert row(stopped, "edge") == ["edge", "10.0.0.1", "1", "Ubuntu", "20.04"]
    assert row(stopped, "camera") == ["camera", "edge", "1.1", "1"]
    assert row(vanished, "edge")[-1] == "UTC"
    assert row(vanished, "spare") == ["spare", "10.0.0.1", "0", "Ubuntu", "20.04"]
    assert any("/Device/broken/0" in line for line in nonsense)


def row(lines: list[str], name: str) -> list[str]:
    """The cells of the line that begins with a name."""
    return next(cells for cells in map(str.split, lines) if cells[:1] == [name])
