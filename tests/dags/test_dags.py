"""DAG files are wiring: they load, say what they are, and build the pods we mean."""

import ast
import json
from pathlib import Path

import pytest

from fieldpipe.events.routes import load_routes
from tests.airflow_looks import Airflow

ROOT = Path(__file__).parents[2]
DAG_FILES = sorted((ROOT / "dags").glob("*.py"))

LOAD = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
dags = {d.dag_id: {"file": d.fileloc, "doc": d.doc_md, "params": d.params.dump(),
        "tasks": {t.task_id: {"limit": t.max_active_tis_per_dag, "retries": t.retries} for t in d.tasks}}
        for d in bag.dags.values()}
print("RESULT" + json.dumps({"errors": {k: str(v) for k, v in bag.import_errors.items()}, "dags": dags}))
"""
PODS = """
import importlib.util, json, sys
from kubernetes.client import ApiClient
def pod(file, conf):
    spec = importlib.util.spec_from_file_location("d", file); module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dag = module.dag
    context = {"run_id": "fp.recordings.1", "ti": type("TI", (), {"try_number": 1}), "dag": dag,
               "dag_run": type("Run", (), {"conf": conf}), "params": dag.params.dump() | conf}
    task = dag.tasks[0]
    task.render_template_fields(context)
    return ApiClient().sanitize_for_serialization(task.build_pod_request_obj(dry_run=True))
conf = json.loads(sys.argv[1])
print("RESULT" + json.dumps([pod(file, conf) for file in sys.argv[2:]]))
"""


@pytest.fixture(scope="module")
def dagbag(in_airflow: Airflow) -> dict:
    return in_airflow(LOAD, str(ROOT / "dags"))


def test_every_dag_file_loads_and_holds_the_dag_of_its_name(dagbag: dict) -> None:
    assert dagbag["errors"] == {}
    assert {d: Path(v["file"]).stem for d, v in dagbag["dags"].items()} == {f.stem: f.stem for f in DAG_FILES}


def test_every_dag_carries_its_manual(dagbag: dict) -> None:
    assert all(len(dag["doc"] or "") > 200 for dag in dagbag["dags"].values())


def test_every_route_leads_to_a_dag_whose_limit_is_the_routes(dagbag: dict) -> None:
    for route in load_routes(None, output_bucket="processed-data").by_name.values():
        limits = [task["limit"] for task in dagbag["dags"][route.dag_id]["tasks"].values()]
        assert limits == [route.max_runs]


def test_a_person_can_start_the_dag_with_a_bucket_and_a_key(dagbag: dict) -> None:
    assert dagbag["dags"]["recording_to_csv"]["params"] == {"bucket": "raw-data", "key": ""}


def test_hostile_keys_reach_the_pod_as_they_are(in_airflow: Airflow) -> None:
    keys = [
        "$(MINIO_SECRET_KEY).mcap",
        "{{ conn.x }}{% raw %}.mcap",
        "a b;rm -rf ~`id`'\".mcap",
        "日本/\u202eロボ.mcap",
    ]
    conf = {
        "run": "fp.recordings.1",
        "objects": [{"id": i, "bucket": "raw-data", "key": k} for i, k in enumerate(keys)],
    }

    (pod,) = in_airflow(PODS, json.dumps(conf), str(ROOT / "dags/recording_to_csv.py"))

    container = pod["spec"]["containers"][0]
    variables = {v["name"]: v.get("value") for v in container["env"]}
    assert [item["key"] for item in json.loads(variables["FIELDPIPE_WORK"])] == keys
    assert "$" not in variables["FIELDPIPE_WORK"]
    assert container["command"] == ["python", "-m", "scripts.convert_recording"]
    assert container["args"] == ["--batch"]


def test_credentials_are_references_and_the_pod_is_restricted(in_airflow: Airflow) -> None:
    (pod,) = in_airflow(PODS, json.dumps({"key": "run1.mcap"}), str(ROOT / "dags/recording_to_csv.py"))

    container = pod["spec"]["containers"][0]
    by_name = {v["name"]: v for v in container["env"]}
    assert by_name["MINIO_SECRET_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "fieldpipe-store", "key": "secret-key"}
    assert "value" not in by_name["MINIO_SECRET_KEY"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert json.loads(by_name["FIELDPIPE_WORK"]["value"])[0]["key"] == "run1.mcap"


def test_a_run_without_an_object_says_what_to_give(in_airflow: Airflow) -> None:
    with pytest.raises(AssertionError, match="give the bucket and the key"):
        in_airflow(PODS, "{}", str(ROOT / "dags/recording_to_csv.py"))


def test_no_dag_file_imports_another() -> None:
    for file in DAG_FILES:
        modules = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        }
        assert modules <= {"airflow", "fieldpipe", "datetime"}, file


# Airflow's loader runs every plugin file as a top-level module named by its stem: `store.py` would be `store`.
STRAYS = """
import json, sys
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
ours = {n: getattr(m, "__file__", None) or "" for n, m in list(sys.modules.items())}
strays = sorted(n for n, f in ours.items() if f.startswith(sys.argv[1]) and n.split(".")[0] != "fieldpipe")
print("RESULT" + json.dumps({"strays": strays, "errors": plugins_manager.get_import_errors()}))
"""


def test_the_plugin_loader_leaves_the_library_alone(in_airflow: Airflow) -> None:
    assert in_airflow(STRAYS, str(ROOT / "plugins")) == {"strays": [], "errors": {}}
