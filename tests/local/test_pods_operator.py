"""The unmodified KubernetesPodOperator runs its pods on the local Pods API (the tasks: pods_operator_dags.py)."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.local.pods_server import NAMESPACE, SECRET, PodsServer

pytestmark = pytest.mark.fault  # and slow; in `make test` the operator runs the demo's pod

TASKS = Path(__file__).with_name("pods_operator_dags.py")


@dataclass(frozen=True)
class Run:
    """What is known after the run: state by task, the log of all tasks, and the pods that are left."""

    states: dict[str, str]
    log: str
    pods_left: list[str]

    def lines(self, text: str) -> list[str]:
        """Log lines that show a line of a pod."""
        return [line for line in self.log.splitlines() if text in line]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[PodsServer]:
    running = PodsServer(tmp_path_factory.mktemp("pods"), mark)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def run(server: PodsServer, tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("airflow")
    connection = {
        "conn_type": "kubernetes",
        "extra": {"kube_config_path": str(server.kubeconfig), "namespace": NAMESPACE},
    }
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(connection),
        "NO_PROXY": "127.0.0.1",
    }
    environment.pop("KUBECONFIG", None)
    (home / "dags").mkdir()
    program = shutil.copy(TASKS, home / "dags")
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True, timeout=120)
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, timeout=120)
    log = done.stdout + done.stderr
    results = [line.removeprefix("RESULT") for line in log.splitlines() if line.startswith("RESULT")]
    assert results, log[-4000:]
    left = server.http.get(server.path()).json()["items"]
    return Run(json.loads(results[-1]), log, [pod["metadata"]["name"] for pod in left])


def test_every_task_ends_as_its_pod_did(run: Run) -> None:
    assert run.states == {
        "plain": "success",
        "slow": "success",
        "variables": "success",
        "exit_65": "skipped",  # by skip_on_exit_code, which shows that the operator sees the code
        "exit_1": "failed",
        "crash": "skipped",  # likewise, 137
        "missing_secret": "failed",
        "sidecar": "failed",
        "killed": "failed",
        "deferred": "success",
        "deferred_logs": "success",
        "deferred_exit_65": "skipped",
    }


def test_lines_of_a_slow_pod_reach_the_log_while_it_runs(run: Run) -> None:
    times = [datetime.fromisoformat(line.split()[0]) for line in run.lines("[base] slow line") if "PodManager" in line]

    assert len(times) >= 3
    assert (times[-1] - times[0]).total_seconds() > 0.3  # written 0.2 s apart, ten of them


def test_lines_of_a_deferred_pod_reach_the_log(run: Run) -> None:
    assert len(run.lines("slow line 3")) == 3  # one per task: slow, deferred, deferred_logs


def test_a_pod_gets_its_variables_and_no_secret_is_printed(run: Run) -> None:
    assert run.lines("variables: hi True variables")
    assert SECRET not in run.log


def test_the_reason_of_a_failure_stands_in_the_tasks_log(run: Run) -> None:
    assert "the last words" in run.log
    assert 'secret "nowhere" not found' in run.log
    assert "set do_xcom_push=False" in run.log


def test_a_task_that_is_killed_ends_its_pod_and_no_task_leaves_a_pod_behind(run: Run, server: PodsServer) -> None:
    pods = server.http.get("/debug/pods").json()["pods"]
    killed = [pod["exit_code"] for pod in pods if re.match(r"killed-", pod["name"])]

    assert killed == [143]
    assert run.pods_left == []
