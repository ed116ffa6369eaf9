"""The embedded stack with a sentinel, on each database: whatever is killed, the rows follow, and the DAG says so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldpipe.local import mariadb
from fieldpipe.local.home import Home
from fieldpipe.local.status import State
from tests.conftest import skip_unless_required
from tests.local.test_stack import SERVICES
from tests.sockets import listening
from tests.stacks import PROJECT, RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.fault]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def sentinel_stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack with an etcd, the watcher and a mirror."""
    if request.param == "mariadb":
        try:
            mariadb.require()
        except mariadb.NotHere as missing:
            skip_unless_required(str(missing), "FIELDPIPE_REQUIRE_MARIADB")
    settings = (("FIELDPIPE_SENTINEL", request.param),)
    running = RunningStack(Home(tmp_path_factory.mktemp("sentinel"), PROJECT), settings)
    try:
        running.up()
        yield running
    finally:
        running.down()


def services(stack: RunningStack) -> list[str]:
    """Those that the sentinel brings."""
    return [service.name for service in stack.status().services if service.name in ("etcd", "mariadb", "sentinel")]


def test_they_serve_beside_the_others_on_loopback_only(sentinel_stack: RunningStack) -> None:
    serving = {service.name for service in sentinel_stack.status().services if service.state is State.SERVING}

    assert serving == SERVICES | set(services(sentinel_stack))
    assert {address for address, _ in listening(sentinel_stack.processes())} <= {"127.0.0.1", "::1"}


def test_whatever_is_killed_the_rows_follow(sentinel_stack: RunningStack) -> None:
    write(sentinel_stack, "put", "edge", "deviceIp=10.0.0.1")
    for name in services(sentinel_stack):
        moment = sentinel_stack.kill(name)
        sentinel_stack.await_serving_since(name, moment)
    write(sentinel_stack, "move", "edge", "1")

    audited = sentinel_stack.run("scripts.audit_sentinel", "--print")

    assert (audited.returncode, audited.stdout) == (0, "found,kind,name,what\n"), audited.stderr
    assert '"rows": 1' in audited.stderr
    write(sentinel_stack, "delete", "edge")


def test_the_demo_finds_what_it_did_and_puts_it_right(sentinel_stack: RunningStack, tmp_path: Path) -> None:
    found, repaired, after = play(sentinel_stack, tmp_path / "demo.json")

    runs = [sentinel_stack.trail.run(each["run_id"]) or {} for each in (found, repaired, after)]
    assert [(run["dag_id"], run["state"]) for run in runs] == [
        ("etcd_sentinel", state) for state in ("failed", "success", "success")
    ]
    assert "1 extra, 1 missing, 1 stale" in found["said"]
    assert differing(found) == differing(repaired) == ["extra demo-ghost", "missing demo-gate", "stale demo-spare"]
    assert differing(after) == []


def write(stack: RunningStack, *arguments: str) -> None:
    done = stack.run("scripts.sentinel", *arguments)
    assert done.returncode == 0, done.stderr


def play(stack: RunningStack, file: Path) -> list[dict[str, Any]]:
    """The stack's part of `make demo-sentinel`; returns its runs."""
    done = stack.run("scripts.demo", "--sentinel", "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    runs: list[dict[str, Any]] = json.loads(file.read_text())["runs"]
    return runs


def differing(run: dict[str, Any]) -> list[str]:
    """What the report says, but for devices that were not heard of while a slow machine had its demo."""
    return [f"{line['found']} {line['name']}" for line in run["found"] if line["found"] != "silent"]
