"""Follows one object through a running stack, as an outsider: it asks the ledger's script, Airflow's API, the Pods API
and the store what people would ask them, because this room does not know the others' code.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from fieldpipe.errors import TransientError
from fieldpipe.local import probe
from fieldpipe.settings import StoreSettings
from fieldpipe.store import ObjectStore

_MANIFEST_LIMIT = 16 * 1024 * 1024  # bytes
_OF_A_POD = "[base] "  # how the operator marks the lines of a pod's container in the log of its task


@dataclass(frozen=True)
class Hops:
    """When an object passed each place: aware UTC; None: it was not found out."""

    put: datetime
    event_received: datetime | None
    run_started: datetime | None
    pod_started: datetime | None
    written: datetime | None


class Trail:
    """Questions about objects of a stack. `variables`: the ones that lead our programs to it."""

    def __init__(self, variables: Mapping[str, str], project: Path, pods_port: int) -> None:
        self._variables = variables
        self._project = project
        self._pods_port = pods_port
        self._airflow_port = urlsplit(variables["AIRFLOW_BASE_URL"]).port or 80
        self.store = ObjectStore.connect(
            StoreSettings(
                endpoint=variables["MINIO_ENDPOINT"],
                access_key=variables["MINIO_ACCESS_KEY"],
                secret_key=SecretStr(variables["MINIO_SECRET_KEY"]),
            )
        )

    def row(self, bucket: str, key: str, etag: str) -> dict[str, Any] | None:
        """The ledger's row of an object version, or None while there is none."""
        rows = json.loads(self.script("scripts.ledger", "list", "--json", "--bucket", bucket, "--key", key))
        return next((row for row in rows if row["etag"] == etag), None)

    def run(self, run_id: str) -> dict[str, Any] | None:
        """The run as Airflow's API shows it."""
        path = f"/api/v2/dags/~/dagRuns?run_id_pattern={quote(run_id)}"
        found = (probe.get(self._airflow_port, path, token=self._token()) or {}).get("dag_runs") or []
        return next((run for run in found if run["dag_run_id"] == run_id), None)

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> bool:
        """Have Airflow start a run; False when it does not (yet) know the DAG, or does not answer."""
        value = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        path = f"/api/v2/dags/{dag_id}/dagRuns"
        return probe.post(self._airflow_port, path, value, token=self._token()) is not None

    def said(self, run: Mapping[str, Any]) -> list[str]:
        """What the pods of a run said last, line by line, as Airflow's API shows the logs of its tasks."""
        path = f"/api/v2/dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'])}/taskInstances"
        tasks = (probe.get(self._airflow_port, path, token=self._token()) or {}).get("task_instances") or []
        lines: list[str] = []
        for task in tasks:
            log = f"{path}/{task['task_id']}/logs/{task['try_number']}"
            content = (probe.get(self._airflow_port, log, token=self._token()) or {}).get("content") or []
            lines += [event.strip() for event in (line["event"] for line in content) if event.startswith(_OF_A_POD)]
        return [line.removeprefix(_OF_A_POD) for line in lines]

    def pod(self, run_id: str) -> dict[str, Any] | None:
        """The last pod of a run, as the Pods API remembers it."""
        found = probe.get(self._pods_port, f"/debug/pods?labelSelector={quote(f'run_id={run_id}')}")
        pods = (found or {}).get("pods") or []
        return pods[-1] if pods else None

    def manifest(self, bucket: str, key: str) -> dict[str, Any]:
        """A result's manifest."""
        content, _ = self.store.get(bucket, key, limit=_MANIFEST_LIMIT)
        value: dict[str, Any] = json.loads(content)
        return value

    def script(self, module: str, *arguments: str) -> str:
        """What a script of ours prints. Raises TransientError when it fails."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self._project,
            env={"PATH": "/usr/bin:/bin", **self._variables},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise TransientError(f"{module} {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _token(self) -> str | None:
        account = {"username": self._variables["AIRFLOW_USER"], "password": self._variables["AIRFLOW_PASSWORD"]}
        return (probe.post(self._airflow_port, "/auth/token", account) or {}).get("access_token")


def moment(text: str | None) -> datetime | None:
    """ISO 8601 as a time; None stays None."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
