"""The embedded stack as the fault tests see it: real Airflow, real everything."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil

from fieldpipe.crashpoints import VARIABLE
from fieldpipe.handover import RUN_VARIABLE
from fieldpipe.local.credentials import write_private
from tests.faults.harness import LedgerView, World
from tests.stacks import RunningStack
from tests.waiting import eventually

DAG = "/api/v2/dags/recording_to_csv"
SECONDS = 180.0  # for everything to come right after a kill; Airflow itself waits a minute for a lost task
CONFIG_MAP = "pipeline-config"


class StackWorld(World):
    """A test's part of the session's stack."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        super().__init__(stack.trail.store, stack.environment["FIELDPIPE_LEDGER_URL"], stack.home.logs)

    def reconnect(self) -> None:
        """After the stack was started anew: its addresses may be others."""
        self.ledger.close()
        self.store = self.stack.trail.store
        self.url = self.stack.environment["FIELDPIPE_LEDGER_URL"]
        self.ledger = LedgerView(self.url)

    # Airflow

    def airflow(self, method: str, path: str, **arguments: Any) -> Any:
        """What its REST API answers."""
        with httpx.Client(base_url=self.stack.environment["AIRFLOW_BASE_URL"], trust_env=False, timeout=30) as http:
            account = {"username": "admin", "password": "admin"}
            token = http.post("/auth/token", json=account).json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            return http.request(method, path, headers=headers, **arguments).raise_for_status().json()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The DAG takes runs, and starts none of them."""
        self.airflow("PATCH", DAG, json={"is_paused": True})
        try:
            yield
        finally:
            self.airflow("PATCH", DAG, json={"is_paused": False})

    # pods

    def pods(self) -> list[psutil.Process]:
        """The processes of pods that run now for this test, whatever the ledger thinks of their runs."""
        own = {row["id"] for row in self.ledger.rows(self.prefix)}
        runs = {run["run_id"] for run in self.ledger.runs() if own.intersection(run["members"])}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(RUN_VARIABLE) in runs:
                    found.append(process)
        return found

    def await_pod(self) -> psutil.Process:
        """A pod that works on an object of this test."""
        return eventually(self.pods, SECONDS, lambda: self.ledger.describe(self.prefix) + self.logs())[0]

    @contextlib.contextmanager
    def pods_crash_at(self, place: str) -> Iterator[None]:
        """Every pod gets FIELDPIPE_CRASH_AT from its ConfigMap, which the Pods API reads when it starts."""
        file = self.stack.home.config / "pods.json"
        before = json.loads(file.read_text())
        config = before["configmaps"][CONFIG_MAP] | {VARIABLE: place}
        self._restart_pods(before | {"configmaps": before["configmaps"] | {CONFIG_MAP: config}})
        try:
            yield
        finally:
            self._restart_pods(before)

    def _restart_pods(self, sources: dict[str, Any]) -> None:
        write_private(self.stack.home.config / "pods.json", sources)
        self.stack.await_serving_since("pods", self.stack.kill("pods"))

    # processes

    @contextlib.contextmanager
    def asleep(self, name: str) -> Iterator[None]:
        """A service is stopped, and goes on afterwards as if nothing had been."""
        running = self.stack.service(name).process
        assert running is not None
        os.kill(running.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(running.pid, signal.SIGCONT)

    def await_serving(self, name: str, moment: float) -> float:
        """Wait until a service serves that was killed at this unix time; returns the seconds it took."""
        service = self.stack.await_serving_since(name, moment)
        return (service.since or time.time()) - moment
