"""Pods never outlive their server, and a server that comes back knows nothing of pods that are gone."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fieldpipe.local.pods.node import FINISHED_PODS
from fieldpipe.local.pods.process import NICENESS
from tests.local.pods_server import ROOT, PodsServer
from tests.waiting import alive, arguments, eventually

FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while os.nice(0) == 0:  # the server says so a moment after the start
    time.sleep(0.01)
print(subprocess.Popen(["sleep", "600"]).pid)
print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
time.sleep(600)
"""
TALKING = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("last"), sys.exit()))
print("first")
time.sleep(600)
"""


@pytest.fixture
def server(tmp_path: Path, mark: str) -> Iterator[PodsServer]:
    running = PodsServer(tmp_path, mark)
    yield running
    running.stop()


def start_family(server: PodsServer) -> list[psutil.Process]:
    """A pod of three processes: one that ignores SIGTERM, a child, and a child that left the group."""
    created = server.create("family", FAMILY)
    parent = created["status"]["containerStatuses"][0]["containerID"].removeprefix("process://")
    eventually(lambda: len(server.logs("family", follow="false").split()) == 2)
    children = server.logs("family", follow="false").split()
    return [psutil.Process(int(pid)) for pid in (parent, *children)]


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(alive(process) for process in processes)


def guardian(server: PodsServer) -> psutil.Process:
    (found,) = (each for each in psutil.Process(server.child.pid).children() if "orphans" in arguments(each))
    return found


def test_a_server_that_is_stopped_ends_its_pods_and_itself(server: PodsServer) -> None:
    processes = [*start_family(server), guardian(server)]

    server.child.ask_to_stop()

    assert server.child.wait(15) == 0
    assert all_gone(processes)
    assert [path.name for path in server.run_dir.iterdir()] == ["lock"]


def test_pods_of_a_server_that_is_killed_end_at_once(server: PodsServer) -> None:
    processes = [*start_family(server), guardian(server)]

    server.kill()

    eventually(lambda: all_gone(processes))


def test_a_follower_gets_the_last_line_when_the_server_is_stopped(server: PodsServer) -> None:
    server.create("talking", TALKING)
    with server.http.stream("GET", server.path("talking") + "/log", params={"follow": "true"}) as log:
        lines = log.iter_lines()
        first = next(lines)
        server.child.ask_to_stop()
        rest = list(lines)

    assert (first, rest) == ("first", ["last"])


def test_the_next_start_sweeps_what_nobody_could_end_and_has_forgotten_the_pods(server: PodsServer) -> None:
    processes = start_family(server)
    keeper = guardian(server)
    keeper.suspend()  # as if it were killed together with the server
    server.kill()
    assert not all_gone(processes)

    server.start()
    keeper.kill()

    assert all_gone(processes)
    assert server.get("family") is None
    assert server.http.get(server.path()).json()["items"] == []


def test_a_guardian_that_was_killed_is_replaced(server: PodsServer) -> None:
    before = guardian(server)

    before.kill()

    assert eventually(lambda: [each for each in psutil.Process(server.child.pid).children() if each != before])


def test_only_the_last_finished_pods_are_kept(server: PodsServer) -> None:
    server.create("oldest", ["/bin/true"])
    server.ended("oldest")
    for number in range(FINISHED_PODS):
        server.create(f"pod-{number}", ["/bin/true"])

    server.ended(f"pod-{FINISHED_PODS - 1}")

    eventually(lambda: len(server.http.get(server.path()).json()["items"]) == FINISHED_PODS)
    assert server.get("oldest") is None
    assert len(list(server.run_dir.glob("pods-*/*"))) == FINISHED_PODS


def test_two_servers_cannot_share_a_folder(server: PodsServer) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "scripts.serve_pods", *server.arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert second.returncode == 65
    assert str(server.run_dir) in second.stderr
    assert server.create("still-mine", "pass")


def test_a_port_that_is_taken_is_said_clearly(server: PodsServer, tmp_path: Path) -> None:
    port = server.address.rpartition(":")[2]
    arguments = [port if value == "0" else value for value in server.arguments]

    second = subprocess.run(
        [sys.executable, "-m", "scripts.serve_pods", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30
    )

    assert second.returncode == 75
    assert f"cannot listen on 127.0.0.1:{port}" in second.stderr


def test_pods_leave_the_services_the_cpu(server: PodsServer) -> None:
    processes = start_family(server)

    assert [process.nice() for process in processes] == [NICENESS] * 3
