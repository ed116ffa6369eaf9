"""What the benchmark asks Airflow's REST API, apart from the dispatcher's own client."""

import time
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx

from fieldpipe.settings import AirflowSettings

DAG = "recording_to_csv"
PROBE_DAG = "bench_probe"

_POLL_SECONDS = 0.1
_SECONDS = 180.0  # a run that has not started by then never will


class Airflow:
    """One account, one connection. Raises httpx.HTTPError for whatever goes wrong."""

    def __init__(self, settings: AirflowSettings) -> None:
        self._http = httpx.Client(base_url=settings.base_url, timeout=60, trust_env=False)
        account = {"username": settings.user, "password": settings.password.get_secret_value()}
        self.token: str = self._http.post("/auth/token", json=account).raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {self.token}"

    def in_flight(self, dag_id: str) -> int:
        """Runs that are queued or running."""
        found = self._get(f"/api/v2/dags/{dag_id}/dagRuns", state=["queued", "running"], limit=1)
        return int(found["total_entries"])

    def runs(self, dag_id: str) -> int:
        """All runs of a DAG, ended ones too."""
        return int(self._get(f"/api/v2/dags/{dag_id}/dagRuns", limit=1)["total_entries"])

    def start_delay(self, dag_id: str) -> float:
        """Trigger a run; seconds from asking until its first task has started. Raises TimeoutError."""
        run = f"bench-{uuid4().hex[:12]}"
        asked = time.time()
        body = {"dag_run_id": run, "logical_date": None}
        self._http.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body).raise_for_status()
        while time.time() - asked < _SECONDS:
            tasks = self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run}/taskInstances")["task_instances"]
            started = [task["start_date"] for task in tasks if task["start_date"]]
            if started:
                return min(datetime.fromisoformat(moment).timestamp() for moment in started) - asked
            time.sleep(_POLL_SECONDS)
        raise TimeoutError(f"{run} of {dag_id} did not start within {_SECONDS:.0f} s")

    def await_idle(self, dag_id: str, seconds: float = _SECONDS) -> None:
        """Wait until no run of a DAG is in flight. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while self.in_flight(dag_id):
            if time.monotonic() > deadline:
                raise TimeoutError(f"runs of {dag_id} are still in flight after {seconds:.0f} s")
            time.sleep(0.5)

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        found: list[dict[str, Any]] = self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")[
            "task_instances"
        ]
        return found

    def _get(self, path: str, **parameters: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._http.get(path, params=parameters).raise_for_status().json()
        return found
