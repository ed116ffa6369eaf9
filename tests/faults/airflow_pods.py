"""The stub of Airflow with its pods as real processes: what a dispatcher starts is really converted.

For faults that a real Airflow cannot be made to have. Everything else is tested with the real one.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fieldpipe.errors import EXIT_PERMANENT
from fieldpipe.handover import encode_work, work_item
from tests.contract.events.stub_airflow import StubAirflow

TRIES = 2  # as the DAG has it: one retry

Pod = subprocess.Popen[bytes]
StartPod = Callable[[str, int, str], Pod]
"""Starts a pod: run id, try number, FIELDPIPE_WORK."""


@dataclass
class AirflowWithPods(StubAirflow):
    """`before_pod(run id, try)` is called in the run's own thread; `pods` has every pod of each run."""

    start_pod: StartPod = field(kw_only=True)
    before_pod: Callable[[str, int], None] = lambda run_id, attempt: None
    pods: dict[str, list[Pod]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self.on_created = self.execute

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead a process here."""
        account = self.settings
        return {
            "AIRFLOW_BASE_URL": account.base_url,
            "AIRFLOW_USER": account.user,
            "AIRFLOW_PASSWORD": account.password.get_secret_value(),
        }

    def execute(self, run_id: str) -> None:
        """Run the pods of a run, in the background."""
        self.pods[run_id] = []
        thread = threading.Thread(target=self._execute, args=(run_id,))
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """End the pods and the server."""
        self._stopping = True
        for pod in [pod for pods in self.pods.values() for pod in pods]:
            if pod.poll() is None:
                os.killpg(pod.pid, signal.SIGKILL)
        for thread in self._threads:
            thread.join()
        super().stop()

    def _execute(self, run_id: str) -> None:
        self.runs[run_id] = "running"
        work = encode_work([work_item(item) for item in self.confs[run_id]["objects"]])
        code = None
        for attempt in range(1, TRIES + 1):
            self.before_pod(run_id, attempt)
            if self._stopping:
                return
            pod = self.start_pod(run_id, attempt, work)
            self.pods[run_id].append(pod)
            code = pod.wait()
            if code in (0, EXIT_PERMANENT):
                break
        self.runs[run_id] = "success" if code == 0 else "failed"
