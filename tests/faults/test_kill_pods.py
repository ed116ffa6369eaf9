"""F-P1: a pod is killed at each of its crash points, the first time it comes there and later ones.

F-P5: two pods work on the same object.
"""

import signal

import pytest

from fieldpipe.crashpoints import VARIABLE
from fieldpipe.handover import Outcome, Report, WorkItem, encode_work, report_key
from tests.builders import csv_recording, robot_recording
from tests.faults.crash_points import points_of
from tests.faults.harness import PROCESSED, RAW, Put, check_partial, check_result
from tests.faults.plane import SLEEPS_CONVERTED, Plane
from tests.waiting import eventually, is_stopped

pytestmark = pytest.mark.fault

POINTS = [*points_of("recordings"), *points_of("work")]
RECEIVED = "2026-01-01T00:00:00.000000Z"
POD_SECONDS = 60


def work(*puts: Put) -> str:
    """The pod's list of objects."""
    return encode_work([WorkItem(RAW, put.key, put.etag, number, None, RECEIVED) for number, put in enumerate(puts)])


def visible(plane: Plane, folder: str) -> dict[str, str]:
    """Everything below a folder of the results, by key, with its ETag."""
    return {info.key: info.etag for info in plane.store.list(PROCESSED, plane.prefix + folder)}


def report(plane: Plane, run_id: str, number: int, attempt: int) -> Report:
    """What a pod said about an object."""
    return Report.from_json(plane.store.get(PROCESSED, report_key(run_id, number, attempt), limit=10_000)[0])


@pytest.mark.parametrize("point", POINTS)
def test_a_rerun_of_a_killed_pod_gives_the_same_bytes_and_nothing_partial_is_ever_visible(
    point: str, plane: Plane
) -> None:
    times, killed = 1, 0
    while True:
        folder, run_id = f"{times}/", f"{plane.prefix.rstrip('/')}-{times}"
        robot = plane.put(f"{folder}robot.mcap", robot_recording(seed=times, seconds=0.3))
        puts = [robot, plane.put(f"{folder}text.mcap", csv_recording(seed=times))]
        code = plane.start_pod(run_id, 1, work(*puts), {VARIABLE: f"{point}:{times}"}).wait(POD_SECONDS)
        if code != -signal.SIGKILL:
            break
        killed += 1
        for put in puts:
            check_partial(plane.store, put, RECEIVED)
        before = visible(plane, folder)

        assert plane.start_pod(run_id, 2, work(*puts)).wait(POD_SECONDS) == 0, plane.logs()

        after = visible(plane, folder)
        assert before.items() <= after.items(), "the rerun changed what was visible"
        for number, put in enumerate(puts):
            check_result(plane.store, put, {(put.key, put.etag): RECEIVED})
            assert report(plane, run_id, number, 2).outcome is Outcome.CONVERTED
        times *= 2
    assert killed, f"the pod never came to {point}: exit code {code}\n{plane.logs()}"
    assert code == 0, plane.logs()


def test_of_two_pods_on_one_object_the_slower_one_finds_the_manifest_taken_and_ends_well(plane: Plane) -> None:
    put = plane.put("run.mcap", robot_recording(seconds=3))
    slow = plane.start_pod("slow", 1, work(put), SLEEPS_CONVERTED)
    eventually(lambda: is_stopped(slow.pid), POD_SECONDS, plane.logs)
    assert not visible(plane, "run/")

    quick = plane.start_pod("quick", 1, work(put)).wait(POD_SECONDS)
    after_quick = visible(plane, "run/")
    slow.send_signal(signal.SIGCONT)

    assert (quick, slow.wait(POD_SECONDS)) == (0, 0)
    assert visible(plane, "run/") == after_quick
    check_result(plane.store, put, {(put.key, put.etag): RECEIVED})
    assert report(plane, "quick", 0, 1) == Report(Outcome.CONVERTED, "", put.folder + "manifest.json")
    assert report(plane, "slow", 0, 1).reason == "another process was quicker"


def test_pods_that_race_for_one_object_make_one_result(plane: Plane) -> None:
    put = plane.put("run.mcap", robot_recording(seconds=0.3))

    pods = [plane.start_pod(f"race-{number}", 1, work(put)) for number in range(4)]

    assert [pod.wait(POD_SECONDS) for pod in pods] == [0] * 4
    check_result(plane.store, put, {(put.key, put.etag): RECEIVED})
    assert len([key for key in visible(plane, "run/") if key.endswith("manifest.json")]) == 1
    reasons = [report(plane, f"race-{number}", 0, 1).reason for number in range(4)]
    assert reasons.count("") == 1, f"one pod made the result, the others found it: {reasons}"
