"""The DAGs that make tables of frames: the pods they start, and when."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dags.test_dags import POD, ROOT, in_airflow

SCHEDULE = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("d", sys.argv[1]); module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print("RESULT" + json.dumps(module.dag.schedule))
"""
KEY = "_manifests/cam/1/0/0000000000000000/00000000000000000042.json"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


def container(home: Path, dag: str, **given: Any) -> dict[str, Any]:
    pod = in_airflow(home, POD, str(ROOT / f"dags/{dag}.py"), json.dumps(given))
    found: dict[str, Any] = pod["spec"]["containers"][0]
    return found


def test_manifests_reach_the_pod_that_indexes_them(home: Path) -> None:
    objects = [{"id": 1, "bucket": "picamera", "key": KEY, "etag": "e"}]

    made = container(home, "frames_to_csv", run="fp.frames.1", objects=objects)

    work = next(variable["value"] for variable in made["env"] if variable["name"] == "FIELDPIPE_WORK")
    assert made["command"] + made["args"] == ["python", "-m", "scripts.index_frames", "--batch"]
    assert [(item["bucket"], item["key"], item["etag"]) for item in json.loads(work)] == [("picamera", KEY, "e")]


def test_a_person_gives_a_manifests_key(home: Path) -> None:
    made = container(home, "frames_to_csv", key=KEY)

    work = next(variable["value"] for variable in made["env"] if variable["name"] == "FIELDPIPE_WORK")
    assert [(item["bucket"], item["key"]) for item in json.loads(work)] == [("picamera", KEY)]


@pytest.mark.parametrize(("now", "argument"), [(False, "--ended"), (True, "--now")])
def test_hours_are_closed_when_they_are_over_or_now(home: Path, now: bool, argument: str) -> None:
    made = container(home, "frame_hours", now=now)

    assert made["command"] + made["args"] == ["python", "-m", "scripts.close_frame_hours", argument]
    assert "FIELDPIPE_WORK" not in {variable["name"] for variable in made["env"]}


@pytest.mark.parametrize(
    ("variables", "schedule"),
    [
        ({"KAFKA_BROKERS": "kafka:9092", "CAMERA_TOPICS": "cam"}, "10 * * * *"),
        ({"KAFKA_BROKERS": "kafka:9092", "CAMERA_TOPICS": ""}, None),
        ({"KAFKA_BROKERS": "", "CAMERA_TOPICS": "cam"}, None),
    ],
)
def test_hours_are_closed_by_themselves_once_there_are_cameras(
    home: Path, variables: dict[str, str], schedule: str | None
) -> None:
    assert in_airflow(home, SCHEDULE, str(ROOT / "dags/frame_hours.py"), variables=variables) == schedule


def test_a_routes_file_without_cameras_breaks_no_dag(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text('[[route]]\nname = "mine"\nbucket = "raw-data"\npatterns = ["*"]\ndag_id = "d"\n')

    loaded = in_airflow(
        home, SCHEDULE, str(ROOT / "dags/frames_to_csv.py"), variables={"FIELDPIPE_ROUTES_FILE": str(file)}
    )

    assert loaded is None
