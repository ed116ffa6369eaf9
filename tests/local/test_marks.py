"""Whatever is left of a stack is found, wherever it went and whatever it hides."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fieldpipe.local import marks
from fieldpipe.local.process import Child, Command, base_environment
from tests.waiting import alive, eventually

LEAVES_A_HIDDEN_ORPHAN = """
import ctypes, os, time
told, tell = os.pipe()
orphan = os.fork()
if orphan == 0:
    os.setsid()
    assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0  # PR_SET_DUMPABLE, as Airflow's tasks do
    os.write(tell, b"hidden")
    time.sleep(60)
os.read(told, 6)
print(orphan)
"""

# From root nothing is hidden. So what looks for it runs without root's capabilities, but for the one that opens the
# folders of others: this project may lie in one.
ORDINARY = ("setpriv", "--bounding-set=-all,+dac_override") if os.geteuid() == 0 else ()


def ordinary(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as somebody from whom a process can hide."""
    return subprocess.run([*ORDINARY, *arguments], capture_output=True, text=True, check=False)


def sweep(*wanted: str) -> tuple[str, str]:
    """What `marks.sweep` says when an ordinary user calls it, and its errors."""
    done = ordinary(sys.executable, "-c", f"from fieldpipe.local.marks import sweep; print(sweep{wanted})")
    return done.stdout, done.stderr


@pytest.fixture
def own_mark(request: pytest.FixtureRequest) -> Iterator[str]:
    """The mark of a stack of the test's own; what bears it is ended."""
    name = f"{request.node.name}-{os.getpid()}"
    yield name
    marks.sweep(name, seconds=0)


def hidden_orphan(folder: Path, mark: str, service: str) -> psutil.Process:
    """A process without parent, in a session of its own, whose environment only root can read."""
    environment = base_environment(mark) | {marks.SERVICE: service}
    log = folder / f"{service}.log"
    assert Child(Command((sys.executable, "-c", LEAVES_A_HIDDEN_ORPHAN), folder, environment), log).wait(20) == 0
    orphan = psutil.Process(int(log.read_text()))
    assert "Permission denied" in ordinary("cat", f"/proc/{orphan.pid}/environ").stderr
    return orphan


def test_sweep_finds_a_process_that_left_its_group(own_mark: str, tmp_path: Path) -> None:
    script = "setsid sleep 600 & exec sleep 600"
    Child(Command(("/bin/sh", "-c", script), tmp_path, base_environment(own_mark)), tmp_path / "log")
    eventually(lambda: [found.name() for found in marks.marked(own_mark)] == ["sleep", "sleep"])

    assert marks.sweep(own_mark) == 2
    assert marks.marked(own_mark) == []


def test_sweep_finds_an_orphan_that_hides_its_environment(own_mark: str, tmp_path: Path) -> None:
    orphan = hidden_orphan(tmp_path, own_mark, "scheduler")

    assert sweep(own_mark) == ("1\n", "")
    assert not alive(orphan)


def test_who_starts_a_marked_process_bears_no_mark_and_neither_does_what_it_starts_for_itself(
    own_mark: str, tmp_path: Path
) -> None:
    bystander = [subprocess.Popen(("sleep", "60"))]
    hidden_orphan(tmp_path, own_mark, "scheduler")
    bystander.append(subprocess.Popen(("sleep", "60")))

    found = sweep(own_mark)

    still_there = [process.poll() is None for process in bystander]
    for process in bystander:
        process.kill()
        process.wait()
    assert (found, still_there) == (("1\n", ""), [True, True])


def test_sweep_of_a_service_leaves_hidden_processes_of_others_alone(own_mark: str, tmp_path: Path) -> None:
    one, other = (hidden_orphan(tmp_path, own_mark, service) for service in ("scheduler", "triggerer"))

    assert sweep(own_mark, "scheduler") == ("1\n", "")
    assert (alive(one), alive(other)) == (False, True)


def test_sweep_leaves_hidden_processes_of_another_stack_alone(own_mark: str, tmp_path: Path) -> None:
    orphan = hidden_orphan(tmp_path, own_mark, "scheduler")

    assert sweep(f"not-{own_mark}") == ("0\n", "")
    assert alive(orphan)
