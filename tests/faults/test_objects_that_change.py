"""F-E3, F-E4: objects that are overwritten or deleted before, while and after a pod works on them. F-E18: no loops."""

import functools
import signal

import pytest

from fieldpipe.events.states import State
from tests.builders import robot_recording, small_recording
from tests.contract.events.world import run_module
from tests.faults.harness import PROCESSED, RAW, Put
from tests.faults.plane import SECONDS, SLEEPS_CONVERTED, Plane
from tests.waiting import eventually, is_stopped

pytestmark = pytest.mark.fault


def test_an_object_overwritten_before_its_pod_reads_it_is_superseded_and_the_new_one_is_converted(
    plane: Plane,
) -> None:
    old = plane.put("run.mcap", small_recording(1))
    plane.record(old)
    written: list[Put] = []

    def overwrite(run_id: str, attempt: int) -> None:
        if not written:
            written.append(plane.put("run.mcap", small_recording(2)))
            plane.record(written[0])

    plane.airflow.before_pod = overwrite
    plane.dispatcher()

    plane.await_terminal(2)
    plane.check(old, *written, others={old: State.SUPERSEDED})


def test_an_object_overwritten_while_its_pod_converts_it_keeps_its_own_result_beside_the_new_one(plane: Plane) -> None:
    old = plane.put("run.mcap", robot_recording(seed=1, seconds=3))
    plane.record(old)
    plane.airflow.start_pod = functools.partial(plane.start_pod, variables=SLEEPS_CONVERTED)
    plane.dispatcher()
    pod = eventually(lambda: next((pods[0] for pods in [*plane.airflow.pods.values()] if pods), None), SECONDS)
    eventually(lambda: is_stopped(pod.pid), SECONDS, plane.logs)
    plane.airflow.start_pod = plane.start_pod

    new = plane.put("run.mcap", small_recording())
    plane.record(new)
    eventually(lambda: [row for row in plane.ledger.rows() if row["state"] == "done"], SECONDS, plane.logs)
    pod.send_signal(signal.SIGCONT)

    plane.await_terminal(2)
    plane.check(old, new)


def test_an_object_deleted_before_it_is_read_is_gone_after_one_run(plane: Plane) -> None:
    put = plane.put("run.mcap", small_recording())
    plane.record(put)
    plane.store.delete(RAW, put.key)

    plane.dispatcher()

    (row,) = plane.await_terminal(1)
    plane.check(put, others={put: State.GONE})
    assert (row["attempt"], len(plane.airflow.runs), row["due_at"] <= row["state_at"]) == (1, 1, True)


def test_a_deleted_object_that_is_created_again_with_the_same_content_is_converted(plane: Plane) -> None:
    put = plane.put("run.mcap", small_recording())
    plane.record(put)
    plane.store.delete(RAW, put.key)
    plane.dispatcher()
    plane.await_terminal(1)

    again = plane.put("run.mcap", put.content)
    answers = plane.record(again)

    assert (again, answers) == (put, ["recorded"])
    eventually(lambda: [row for row in plane.ledger.rows() if row["state"] == "done"], SECONDS, plane.logs)
    plane.await_terminal(1)
    plane.check(put)


def test_an_object_deleted_and_created_again_while_its_run_is_in_flight_is_converted(plane: Plane) -> None:
    put = plane.put("run.mcap", small_recording())
    plane.record(put)
    looked: list[str] = []

    def delete_and_create(run_id: str, attempt: int) -> None:
        looked.append(run_id)
        if len(looked) == 1:
            plane.store.delete(RAW, put.key)
            plane.record(put)  # what a listing of a moment ago had seen: another sequencer
        else:
            plane.put("run.mcap", put.content)

    plane.airflow.before_pod = delete_and_create
    plane.dispatcher()

    plane.await_terminal(1)
    plane.check(put)
    assert len(looked) == 2


def test_our_own_output_never_triggers_wherever_it_is_announced(plane: Plane) -> None:
    """F-E18: an event about the bucket of results, and reports that lie in the bucket of recordings."""
    content = small_recording()
    plane.store.put(PROCESSED, f"{plane.prefix}copy.mcap", content)
    report = f"_runs/{plane.prefix}1.mcap"
    put = Put(report, plane.store.put(RAW, report, content), content)
    webhook = plane.webhook()

    response = webhook.post(plane.events(put).replace(b"raw-data", b"processed-data"))
    others = webhook.post(plane.events(put))
    done = run_module("scripts.sync_events", environment=plane.environment | {"WEBHOOK_URL": webhook.url})

    answers = [*response.json()["events"], *others.json()["events"]]
    assert [(answer["status"], answer["reason"]) for answer in answers] == [
        ("ignored", "our own output never triggers")
    ] * 2
    assert done.returncode == 0, done.stderr
    assert [row["key"] for row in plane.ledger.rows() if row["key"].startswith((plane.prefix, "_runs/"))] == []
    assert "fieldpipe_loop_guard_total 2.0" in webhook.http.get("/metrics").text
