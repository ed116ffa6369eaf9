"""F-E14, the part of a dispatcher that dies: killed at each of its crash points, another one goes on."""

import os
import signal
from collections import deque

import pytest

from fieldpipe.local.process import Child
from tests.builders import small_recording
from tests.contract.events.stub_airflow import Fault
from tests.faults.crash_points import points_of
from tests.faults.plane import SECONDS, Plane
from tests.waiting import eventually

pytestmark = pytest.mark.fault

POINTS = points_of("dispatch")


def one_run_per_object(plane: Plane) -> None:
    """Whatever was sent how often: Airflow executed each run once, and no object was in two."""
    runs = plane.ledger.runs()
    members = [member for run in runs for member in run["members"]]
    assert len(members) == len(set(members)), plane.ledger.describe()
    assert set(plane.airflow.runs) == {run["run_id"] for run in runs}
    assert [len(pods) for pods in plane.airflow.pods.values()] == [1] * len(runs)


def died(child: Child, plane: Plane) -> None:
    """The process has killed itself at its crash point."""
    assert child.wait(SECONDS) == -signal.SIGKILL, plane.logs()


@pytest.mark.parametrize("point", POINTS)
def test_another_dispatcher_finishes_what_a_killed_one_began(point: str, plane: Plane) -> None:
    puts = [plane.put(f"{number}.mcap", small_recording(number)) for number in range(3)]
    plane.record(*puts)

    died(plane.dispatcher(crash_at=point, name="first"), plane)
    plane.dispatcher(name="second")

    plane.await_terminal(3)
    plane.check(*puts)
    one_run_per_object(plane)


def test_a_dispatcher_that_wakes_after_its_lease_changes_nothing(plane: Plane) -> None:
    """F-E17: stopped in the middle of a trigger, while another one takes the run over and ends it."""
    put = plane.put("run.mcap", small_recording())
    first = plane.dispatcher(name="first")

    def fall_asleep(run_id: str) -> None:
        os.kill(first.pid, signal.SIGSTOP)
        plane.airflow.execute(run_id)

    plane.airflow.on_created = fall_asleep
    plane.record(put)
    eventually(lambda: plane.airflow.triggers, SECONDS, plane.logs)
    plane.airflow.on_created = plane.airflow.execute

    plane.dispatcher(name="second")
    plane.await_terminal(1)
    before = (plane.ledger.rows(), plane.ledger.runs())
    os.kill(first.pid, signal.SIGCONT)
    again = plane.put("again.mcap", small_recording(2))
    plane.record(again)

    plane.await_terminal(2)
    assert (plane.ledger.rows(put.key), plane.ledger.runs()[:1]) == before
    plane.check(put, again)
    one_run_per_object(plane)


def test_whatever_airflow_answers_each_object_is_converted_by_one_run(plane: Plane) -> None:
    """F-E14, with pods; tests/contract/events/test_dispatch.py has every answer by itself."""
    plane.airflow.faults.extend(Fault)
    plane.dispatcher()
    puts = []
    for number in range(len(Fault)):
        puts.append(plane.put(f"{number}.mcap", small_recording(number)))
        plane.record(puts[-1])
        plane.airflow.expire_tokens()
        plane.await_terminal(len(puts))

    plane.check(*puts)
    one_run_per_object(plane)
    assert plane.airflow.faults == deque()
