"""Whatever is killed comes back by itself, in time; whatever a killed supervisor leaves is swept."""

import os
import signal
from pathlib import Path

import pytest

from fieldpipe.local import stack as stacks
from fieldpipe.local.status import State
from tests.local.test_stack import SERVICES, _demo
from tests.stacks import RunningStack
from tests.waiting import alive, eventually

pytestmark = [pytest.mark.stack, pytest.mark.fault]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_killed_service_serves_again(stack: RunningStack, name: str) -> None:
    before = stack.await_running(name)

    moment = stack.kill(name)

    after = stack.await_serving_since(name, moment)
    assert after.process != before.process
    assert after.restarts == before.restarts + 1


def test_a_recording_converts_after_everything_was_killed_at_once(stack: RunningStack, tmp_path: Path) -> None:
    moments = {name: stack.kill(name) for name in sorted(SERVICES)}
    for name, moment in moments.items():
        stack.await_serving_since(name, moment)

    assert _demo(stack, tmp_path)["outputs"] != []


def test_what_a_killed_supervisor_left_is_swept_by_the_next_start(stack: RunningStack) -> None:
    left = {*stack.processes()}
    supervisor = stack.status().supervisor
    os.kill(supervisor.pid, signal.SIGKILL)
    eventually(lambda: not supervisor.alive())
    assert stacks.running(stack.home) is None

    stack.up()

    assert {*stack.processes()} & left == set()
    assert all(s.state in (State.SERVING, State.DONE) for s in stack.status().services)


def test_down_ends_what_a_killed_supervisor_and_a_killed_scheduler_left(stack: RunningStack, tmp_path: Path) -> None:
    _demo(stack, tmp_path)  # Airflow's process that ran the task hides its environment from now on
    before = stack.processes()
    supervisor, scheduler = stack.status().supervisor, stack.service("scheduler").process
    assert scheduler is not None

    for victim in (supervisor, scheduler):  # in this order: nobody is there to end what the second leaves
        os.kill(victim.pid, signal.SIGKILL)
    stack.down()

    left = [process for process in before if alive(process)]
    stack.up()  # the session's other tests need it
    assert left == []
