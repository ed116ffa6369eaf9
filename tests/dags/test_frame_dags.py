"""The DAGs that make tables of frames: the pods they start, and when."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.airflow_looks import Airflow
from tests.dags.test_dags import ROOT

# For each DAG its schedule and, for each conf given, the container of its pod.
DAGS = """
import copy, importlib.util, json, sys
from kubernetes.client import ApiClient
found = {}
for name, confs in json.loads(sys.argv[2]).items():
    spec = importlib.util.spec_from_file_location(name, f"{sys.argv[1]}/{name}.py")
    module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); dag = module.dag
    containers = []
    for conf in confs:
        task = copy.deepcopy(dag.tasks[0])
        run = type("Run", (), {"conf": conf})
        task.render_template_fields({"run_id": "fp.frames.1", "ti": type("TI", (), {"try_number": 1}), "dag_run": run,
                                     "dag": dag, "params": dag.params.dump() | conf})
        pod = ApiClient().sanitize_for_serialization(task.build_pod_request_obj(dry_run=True))
        containers.append(pod["spec"]["containers"][0])
    found[name] = {"schedule": dag.schedule, "containers": containers}
print("RESULT" + json.dumps(found))
"""
KEY = "_manifests/cam/1/0/0000000000000000/00000000000000000042.json"
BY_DISPATCHER = {"run": "fp.frames.1", "objects": [{"id": 1, "bucket": "picamera", "key": KEY, "etag": "e"}]}
BY_HAND = {"key": KEY}


@pytest.fixture(scope="module")
def dags(in_airflow: Airflow) -> dict[str, Any]:
    """Both, where there are cameras; runs by the dispatcher and by hand, runs without and with `now`."""
    runs = {"frames_to_csv": [BY_DISPATCHER, BY_HAND], "frame_hours": [{}, {"now": True}]}
    variables = {"KAFKA_BROKERS": "kafka:9092", "CAMERA_TOPICS": "cam", "CAMERA_BUCKET": "picamera"}
    found: dict[str, Any] = in_airflow(DAGS, str(ROOT / "dags"), json.dumps(runs), variables=variables)
    return found


def test_manifests_reach_the_pod_that_indexes_them(dags: dict[str, Any]) -> None:
    found = []
    for container in dags["frames_to_csv"]["containers"]:
        assert container["command"] + container["args"] == ["python", "-m", "scripts.index_frames", "--batch"]
        work = next(variable["value"] for variable in container["env"] if variable["name"] == "FIELDPIPE_WORK")
        found += [(item["id"], item["bucket"], item["key"]) for item in json.loads(work)]
    assert found == [(1, "picamera", KEY), (None, "picamera", KEY)]


def test_hours_are_closed_when_they_are_over_or_now(dags: dict[str, Any]) -> None:
    commands = [container["command"] + container["args"] for container in dags["frame_hours"]["containers"]]

    assert commands == [["python", "-m", "scripts.close_frame_hours", each] for each in ("--ended", "--now")]


def test_hours_are_closed_by_themselves_and_parts_made_when_there_are_some(dags: dict[str, Any]) -> None:
    assert (dags["frame_hours"]["schedule"], dags["frames_to_csv"]["schedule"]) == ("10 * * * *", None)


def test_without_cameras_there_is_no_schedule_and_a_routes_file_need_not_know_them(
    in_airflow: Airflow, tmp_path: Path
) -> None:
    file = tmp_path / "routes.toml"
    file.write_text('[[route]]\nname = "mine"\nbucket = "raw-data"\npatterns = ["*"]\ndag_id = "d"\n')
    variables = {"KAFKA_BROKERS": "kafka:9092", "CAMERA_TOPICS": "", "FIELDPIPE_ROUTES_FILE": str(file)}
    runs = json.dumps({"frames_to_csv": [], "frame_hours": []})

    loaded = in_airflow(DAGS, str(ROOT / "dags"), runs, variables=variables)

    assert [each["schedule"] for each in loaded.values()] == [None, None]
