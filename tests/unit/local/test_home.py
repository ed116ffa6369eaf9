"""The stack's folder: its mark, its secrets, its logs."""

import os
from pathlib import Path

import pytest

from fieldpipe.local import credentials, logfiles
from fieldpipe.local.home import Home


def test_two_folders_are_two_stacks(tmp_path: Path) -> None:
    assert Home(tmp_path / "a", tmp_path).stack != Home(tmp_path / "b", tmp_path).stack


def test_the_folder_is_in_the_project_unless_a_variable_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIELDPIPE_HOME", raising=False)
    assert Home.of(tmp_path).root == tmp_path / ".fieldpipe"

    monkeypatch.setenv("FIELDPIPE_HOME", str(tmp_path / "elsewhere"))
    assert Home.of(tmp_path).root == tmp_path / "elsewhere"


def test_sockets_of_a_deep_folder_go_where_paths_are_short(tmp_path: Path) -> None:
    deep = Home(tmp_path / ("d" * 100), tmp_path).socket_folder()

    assert len(os.fsencode(deep)) < 80
    assert deep.stat().st_mode & 0o077 == 0
    deep.rmdir()


def test_credentials_are_made_once_and_read_by_their_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"

    made = credentials.load(file)

    assert credentials.load(file) == made
    assert file.stat().st_mode & 0o777 == 0o600
    assert credentials.load(tmp_path / "others.json") != made


def test_a_log_that_grew_large_is_moved_aside_while_its_writer_goes_on(tmp_path: Path) -> None:
    log, small = tmp_path / "web.log", tmp_path / "small.log"
    small.write_text("little\n")
    with log.open("ab") as writer:
        writer.truncate(logfiles.LARGEST)
        writer.write(b"before\n")
        writer.flush()

        logfiles.trim(tmp_path)

        writer.write(b"after\n")
        writer.flush()
    assert log.read_bytes() == b"after\n"
    assert log.with_name("web.log.1").read_bytes().endswith(b"before\n")
    assert small.read_text() == "little\n"


def test_old_task_logs_are_forgotten_with_their_folders(tmp_path: Path) -> None:
    old, new = tmp_path / "run1" / "task.log", tmp_path / "run2" / "task.log"
    for file in (old, new):
        file.parent.mkdir()
        file.write_text("said")
    os.utime(old, (0, 0))

    logfiles.forget(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["run2"]
    assert new.exists()
