"""The embedded stack with cameras: frames go into Kafka, images and tables come out, each frame once."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fieldpipe.local import cameras
from fieldpipe.local.home import Home
from fieldpipe.local.status import State
from tests.local.test_stack import SERVICES
from tests.sockets import listening
from tests.stacks import PROJECT, RunningStack
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.fault]

BUCKET = "picamera"
LIMIT = 10**8


@pytest.fixture(scope="module")
def camera_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack with a Kafka and a camera that takes a picture every second."""
    settings = (("FIELDPIPE_CAMERAS", "1"), ("SCHEDULE", "1"))
    running = RunningStack(Home(tmp_path_factory.mktemp("cameras"), PROJECT), settings)
    try:
        running.up()
        yield running
    finally:
        running.down()


@pytest.fixture(scope="module")
def filmed(camera_stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `make demo-camera` says about a batch and its hour."""
    return _film(camera_stack, tmp_path_factory.mktemp("demo"))


def test_kafka_and_the_camera_serve_beside_the_others_on_loopback_only(camera_stack: RunningStack) -> None:
    serving = {service.name for service in camera_stack.status().services if service.state is State.SERVING}

    assert serving == SERVICES | {"kafka", "camera"}
    assert {address for address, _ in listening(camera_stack.processes())} <= {"127.0.0.1", "::1"}


def test_frames_become_objects_and_rows_of_a_table(camera_stack: RunningStack, filmed: dict[str, Any]) -> None:
    store = camera_stack.trail.store
    rows = _rows(camera_stack, filmed)
    hour = filmed["frames"][-1]["image"].rpartition("/")[0]

    for frame in [each for each in filmed["frames"] if each["image"].startswith(hour)]:
        image, _ = store.get(BUCKET, frame["image"], limit=LIMIT)
        time, _ = store.get(BUCKET, frame["timestamp"], limit=LIMIT)
        row = rows[frame["offset"]]
        assert hashlib.sha256(image).hexdigest() == frame["sha256"] == row["sha256"]
        assert row["capture_time"].startswith(time.decode()), "milliseconds, and the rest"
        assert (row["image"], row["width"], row["height"]) == (frame["image"], "640", "480")
    sheet, _ = store.get(filmed["processed_bucket"], f"{filmed['hour']}contact-sheet.png", limit=LIMIT)
    assert sheet.startswith(b"\x89PNG")


def test_every_run_of_the_demo_is_in_airflow_and_ended_well(camera_stack: RunningStack, filmed: dict[str, Any]) -> None:
    runs = {dag: camera_stack.trail.run(run_id) for dag, run_id in filmed["runs"].items()}

    assert {dag: (run or {}).get("dag_id") for dag, run in runs.items()} == {dag: dag for dag in runs}
    assert {(run or {}).get("state") for run in runs.values()} == {"success"}


@pytest.mark.timeout(600)  # four deaths, a restart of everything and a demo
def test_nothing_is_lost_or_counted_twice_when_kafka_and_the_camera_are_killed(
    camera_stack: RunningStack, tmp_path: Path
) -> None:
    spool = cameras.spool(camera_stack.home)
    victims = ("kafka", "camera", "kafka", "camera")
    for name in victims:
        moment = camera_stack.kill(name)
        before = cameras.sent(spool)
        camera_stack.await_serving_since(name, moment)
        eventually(partial(_more_than, before, spool), 60)
    camera_stack.down()
    camera_stack.up()
    sent = cameras.sent(spool)

    filmed = _film(camera_stack, tmp_path)

    batches = _batches(camera_stack)
    assert {batch["epoch"] for batch in batches} == {1}, "the topic is the same after a restart"
    covered = [offset for batch in batches for offset in range(batch["first"], batch["last"] + 1)]
    assert sorted(covered) == list(range(len(covered))), "each offset once"
    taken = {frame["time"] for batch in batches for frame in batch["frames"]}
    assert len(taken) >= sent - victims.count("kafka"), "a killed tansu may forget what it was writing"
    counted = [row["capture_ns"] for row in _rows(camera_stack, filmed).values() if row["repeat"] == "False"]
    assert counted != []
    assert len(counted) == len(set(counted))


def _film(stack: RunningStack, folder: Path) -> dict[str, Any]:
    file = folder / "demo.json"
    done = stack.run("scripts.demo", "--camera", "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(file.read_text())
    return result


def _rows(stack: RunningStack, filmed: dict[str, Any]) -> dict[int, dict[str, str]]:
    """The rows of the hour's table, by offset."""
    content, _ = stack.trail.store.get(filmed["processed_bucket"], f"{filmed['hour']}index.csv", limit=LIMIT)
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert len(rows) == filmed["rows"]
    return {int(row["offset"]): row for row in rows}


def _batches(stack: RunningStack) -> list[dict[str, Any]]:
    """The manifests of the backup."""
    trail = stack.trail
    return [trail.manifest(BUCKET, found.key) for found in trail.store.list(BUCKET, "_manifests/")]


def _more_than(before: int, spool: Path) -> bool:
    return cameras.sent(spool) > before
