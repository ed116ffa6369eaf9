"""A client of Airflow's REST API v2: the four calls that a dispatcher needs, and what each answer means.

The distinction that matters: after `AirflowUnavailable` nobody knows whether a run was created, so the same run id is
sent again; after `AirflowRefused` and `DagMissing` it was not.
"""

from dataclasses import dataclass
from typing import Any

import httpx

from fieldpipe.errors import TransientError
from fieldpipe.settings import AirflowSettings

_TIMEOUT = httpx.Timeout(10, connect=3)  # seconds; a lease is longer


class AirflowUnavailable(TransientError):
    """No answer, or one that says nothing about the request (5xx, 429). It may have been carried out."""


class AirflowRefused(TransientError):
    """Airflow will not do it until somebody changes something (account, rights, the DAG). It was not carried out."""


class DagMissing(AirflowRefused):
    """Airflow knows no such DAG (yet)."""


class RunIdTaken(AirflowRefused):
    """Airflow has a run of this id that is about other objects: the ledger was restored from a backup."""


@dataclass(frozen=True, slots=True)
class DagStatus:
    """Whether a DAG can take runs."""

    exists: bool
    paused: bool = False
    broken: bool = False  # its file has import errors


class AirflowClient:
    """Safe to use from one thread."""

    def __init__(self, settings: AirflowSettings) -> None:
        self._account = {"username": settings.user, "password": settings.password.get_secret_value()}
        # Airflow is a neighbour in the cluster or on the machine: no proxy of the environment lies between.
        self._http = httpx.Client(base_url=settings.base_url.rstrip("/"), timeout=_TIMEOUT, trust_env=False)
        self._token: str | None = None

    def close(self) -> None:
        self._http.close()

    def dag(self, dag_id: str) -> DagStatus:
        """Raises AirflowUnavailable, AirflowRefused."""
        response = self._request("GET", f"/api/v2/dags/{dag_id}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return DagStatus(exists=False)
        found = _json(response)
        return DagStatus(
            exists=not found.get("is_stale", False),
            paused=bool(found.get("is_paused")),
            broken=bool(found.get("has_import_errors")),
        )

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        """Create a run; False: it existed already.

        Raises AirflowUnavailable, AirflowRefused, DagMissing, RunIdTaken.
        """
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        response = self._request("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        if response.status_code == httpx.codes.NOT_FOUND:
            raise DagMissing(f"Airflow has no DAG {dag_id}")
        if response.status_code == httpx.codes.CONFLICT:
            # It says that there is a conflict, not which: only the run itself proves that it is ours.
            run = self._run(dag_id, run_id)
            if run is None:
                raise AirflowUnavailable(f"Airflow answered 409 for {run_id}, but has no such run")
            if run.get("conf") != conf:
                raise RunIdTaken(f"Airflow's run {run_id} is about other objects")
            return False
        _json(response)
        return True

    def run_state(self, dag_id: str, run_id: str) -> str | None:
        """queued, running, success or failed; None: no such run. Raises AirflowUnavailable, AirflowRefused."""
        run = self._run(dag_id, run_id)
        return None if run is None else str(run["state"])

    def _run(self, dag_id: str, run_id: str) -> dict[str, Any] | None:
        response = self._request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
        return None if response.status_code == httpx.codes.NOT_FOUND else _json(response)

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send with a token; a token that is refused is renewed once."""
        fresh = self._token is None
        response = self._send(method, path, **arguments)
        if response.status_code == httpx.codes.UNAUTHORIZED and not fresh:
            self._token = None
            response = self._send(method, path, **arguments)
        known = (httpx.codes.NOT_FOUND, httpx.codes.CONFLICT)
        if response.is_success or response.status_code in known:
            return response
        said = f"Airflow answered {response.status_code} to {method} {path}: {response.text[:200]}"
        if response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise AirflowUnavailable(said)
        raise AirflowRefused(said)

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            if self._token is None:
                self._token = self._log_in()
            headers = {"Authorization": f"Bearer {self._token}"}
            return self._http.request(method, path, headers=headers, **arguments)
        except httpx.HTTPError as error:
            raise AirflowUnavailable(f"{method} {path}: {type(error).__name__}: {error}") from error

    def _log_in(self) -> str:
        response = self._http.post("/auth/token", json=self._account)
        if response.is_success:
            return str(_json(response)["access_token"])
        said = f"Airflow answered {response.status_code} to the login of {self._account['username']}"
        if response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise AirflowUnavailable(said)
        raise AirflowRefused(f"{said}: check AIRFLOW_USER and AIRFLOW_PASSWORD")


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        value = response.json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise AirflowUnavailable(f"{response.url} answered {response.status_code} without JSON: is this Airflow?")
    return value
