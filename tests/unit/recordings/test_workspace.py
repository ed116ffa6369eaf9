"""Temporary folders: one per conversion, and none left behind by whoever was killed."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from fieldpipe.recordings.workspace import sweep, workspace


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TMPDIR of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def grow_old(folder: Path) -> None:
    long_ago = time.time() - 3600
    os.utime(folder, (long_ago, long_ago))


def test_a_workspace_is_gone_when_the_work_is(temporary: Path) -> None:
    with suppress(ValueError), workspace() as folder:
        (folder / "file").touch()
        raise ValueError("broken")

    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_swept(temporary: Path) -> None:
    script = "import os, signal; from fieldpipe.recordings.workspace import workspace\nwith workspace() as folder:\n"
    script += "    (folder / 'half').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", script], env={"TMPDIR": str(temporary)}, check=False, timeout=60)
    (left,) = temporary.iterdir()

    assert sweep() == 0  # too young: it may belong to somebody who has just made it
    grow_old(left)
    assert sweep() == 1
    assert list(temporary.iterdir()) == []


def test_what_is_in_use_is_never_swept() -> None:
    with workspace() as folder:
        grow_old(folder)

        assert sweep() == 0
        assert folder.exists()


def test_a_workspace_in_a_target_is_hidden_and_swept_there(
    temporary: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("target")

    with workspace(target) as folder:
        assert (folder.parent, folder.name[0]) == (target, ".")
    left = target / folder.name
    left.mkdir()
    grow_old(left)

    assert (sweep(), sweep(target)) == (0, 1)
    assert list(target.iterdir()) == []
