"""What the status file says, and how a process is told from another one with its id."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

from fieldpipe.local import status
from fieldpipe.local.display import Progress, table
from fieldpipe.local.status import Identity, ServiceStatus, StackStatus, State

ME = Identity.of(os.getpid())


def _stack(*services: ServiceStatus) -> StackStatus:
    assert ME is not None
    return StackStatus(ME, State.STARTING, services, litter=("/tmp/some.sock",))


def test_a_status_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written = _stack(ServiceStatus("web", State.SERVING, ME, since=5.0, seconds=1.5, restarts=2, address="http://x"))

    written.write(tmp_path / "stack.json")

    found = status.read(tmp_path / "stack.json")
    assert found is not None
    assert replace(found, written=0.0) == written


def test_no_file_is_no_status(tmp_path: Path) -> None:
    assert status.read(tmp_path / "stack.json") is None


def test_a_process_with_the_same_id_but_another_start_is_another_process() -> None:
    assert ME is not None
    assert ME.alive()
    assert not Identity(ME.pid, ME.created - 3600).alive()


def test_a_process_that_has_ended_but_was_not_reaped_is_not_alive() -> None:
    child = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    identity = Identity.of(child.pid)

    assert identity is not None
    assert not identity.alive()
    child.wait()


def test_the_table_shows_state_uptime_and_restarts() -> None:
    serving = ServiceStatus("web", State.SERVING, Identity(42, 0), since=1000.0, restarts=3, address="http://x")
    waiting = ServiceStatus("sync", State.WAITING)

    lines = table(_stack(serving, waiting), now=1000.0 + 3725).splitlines()

    assert [line.split() for line in lines[1:]] == [
        ["web", "serving", "42", "1", "h", "02", "min", "3", "http://x"],
        ["sync", "waiting", "-", "-", "0"],
    ]


def test_progress_prints_each_service_once_in_plain_lines(tmp_path: Path) -> None:
    first = _stack(ServiceStatus("db", State.SERVING, ME, since=1.0, seconds=0.5), ServiceStatus("web"))
    second = _stack(first.services[0], ServiceStatus("web", State.SERVING, ME, since=2.0, seconds=3.0))
    with (tmp_path / "output").open("w+") as output:
        progress = Progress(output)
        for found in (first, first, second):
            progress.show(found)
        output.seek(0)

        assert output.read().split("\n") == ["  db               0.5 s", "  web              3.0 s", ""]
