"""The embedded stack with Celery: workers beside the others, and task logs that outlive them."""

import shutil
from pathlib import Path

import httpx
import pytest

from fieldpipe.local.status import State
from tests.local.test_stack import SERVICES, _demo
from tests.sockets import listening
from tests.stacks import RunningStack
from tests.waiting import eventually

pytestmark = pytest.mark.stack


def test_redis_and_the_workers_serve_beside_the_others_on_loopback_only(celery_stack: RunningStack) -> None:
    done = celery_stack.run("scripts.stack", "status")

    serving = {service.name for service in celery_stack.status().services if service.state is State.SERVING}
    assert serving == SERVICES | {"redis", "worker-1", "worker-2"}
    assert all(name in done.stdout for name in serving)
    assert {address for address, _ in listening(celery_stack.processes())} <= {"127.0.0.1", "::1"}


def test_the_log_of_a_task_is_readable_when_its_file_is_gone(celery_stack: RunningStack, tmp_path: Path) -> None:
    result = _demo(celery_stack, tmp_path)
    run = f"/api/v2/dags/{result['dag_id']}/dagRuns/{result['run_id']}"

    store = celery_stack.trail.store
    eventually(lambda: any(result["run_id"] in log.key for log in store.list("airflow-logs", "task-logs/")), 30)
    shutil.rmtree(celery_stack.home.logs / "airflow" / f"dag_id={result['dag_id']}")
    log = ask_airflow(celery_stack, f"{run}/taskInstances/convert_recording/logs/1")

    assert "s3://airflow-logs/task-logs/" in log
    assert "object_converted" in log, "what the pod said"


def ask_airflow(stack: RunningStack, path: str) -> str:
    """What its REST API answers."""
    with httpx.Client(base_url=stack.environment["AIRFLOW_BASE_URL"], trust_env=False, timeout=30) as http:
        token = http.post("/auth/token", json={"username": "admin", "password": "admin"}).json()["access_token"]
        return http.get(path, headers={"Authorization": f"Bearer {token}"}).raise_for_status().text
