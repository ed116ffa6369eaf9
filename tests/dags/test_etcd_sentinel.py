"""The DAG of the sentinel: when it runs, and the pod that it starts."""

import json
from typing import Any

import pytest

from tests.airflow_looks import Airflow
from tests.dags.test_dags import ROOT

# The schedules without and with an etcd, and the pods of runs with these confs.
LOADED = """
import copy, importlib.util, json, os, sys
from kubernetes.client import ApiClient
def load():
    spec = importlib.util.spec_from_file_location("etcd_sentinel", sys.argv[1])
    module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)
    return module.dag
off = load()
os.environ["MY_ETCD_HOST"] = "etcd"
on = load()
pods = []
for conf in json.loads(sys.argv[2]):
    task = copy.deepcopy(on.tasks[0])
    task.render_template_fields({"run_id": "manual__1", "ti": type("TI", (), {"try_number": 1}), "dag": on,
                                 "dag_run": type("Run", (), {"conf": conf}), "params": on.params.dump() | conf})
    pods.append(ApiClient().sanitize_for_serialization(task.build_pod_request_obj(dry_run=True)))
print("RESULT" + json.dumps({"off": [off.schedule, off.description], "on": on.schedule, "pods": pods}))
"""


@pytest.fixture(scope="module")
def loaded(in_airflow: Airflow) -> dict[str, Any]:
    variables = {"SENTINEL_SCHEDULE": "7 * * * *", "MY_ETCD_HOST": ""}
    runs = json.dumps([{}, {"repair": True}])
    file = str(ROOT / "dags/etcd_sentinel.py")
    found: dict[str, Any] = in_airflow(LOADED, file, runs, variables=variables)
    return found


def test_without_an_etcd_it_has_no_schedule_and_says_how_to_get_one(loaded: dict[str, Any]) -> None:
    schedule, description = loaded["off"]

    assert (schedule, "until MY_ETCD_HOST is set" in description) == (None, True)
    assert loaded["on"] == "7 * * * *"


def test_it_audits_and_repairs_when_a_person_says_so(loaded: dict[str, Any]) -> None:
    containers = [pod["spec"]["containers"][0] for pod in loaded["pods"]]

    commands = [container["command"] + container["args"] for container in containers]
    assert commands == [["python", "-m", "scripts.audit_sentinel", each] for each in ("--no-repair", "--repair")]


def test_its_pod_may_talk_to_both_with_what_optional_secrets_hold(loaded: dict[str, Any]) -> None:
    pod = loaded["pods"][0]

    labels, spec = pod["metadata"]["labels"], pod["spec"]
    found = {
        each["name"]: tuple(each["valueFrom"]["secretKeyRef"].values())
        for each in spec["containers"][0]["env"]
        if each["name"].startswith(("MY_", "SENTINEL_"))
    }
    assert [labels[f"fieldpipe/uses-{server}"] for server in ("store", "etcd", "mysql")] == ["true"] * 3
    assert found == {
        "MY_ETCD_USER": ("user", "fieldpipe-etcd", True),
        "MY_ETCD_PASSWORD": ("password", "fieldpipe-etcd", True),
        "MY_MYSQL_USER": ("user", "fieldpipe-mysql", True),
        "MY_MYSQL_PASSWORD": ("password", "fieldpipe-mysql", True),
        "SENTINEL_URL": ("url", "fieldpipe-mysql", True),
    }
    for name in ("etcd", "mysql"):
        assert {"name": name, "secret": {"secretName": f"fieldpipe-{name}-tls", "optional": True}} in spec["volumes"]
        mount = {"name": name, "mountPath": f"/etc/fieldpipe/{name}", "readOnly": True}
        assert mount in spec["containers"][0]["volumeMounts"]
