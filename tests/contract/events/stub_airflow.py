"""A stub of Airflow's REST API v2, as small as the dispatcher's tests need it: it is NOT Airflow.

It mimics the answers that were observed of Airflow 3.3 (token, trigger, 409, 404, paused DAGs) and, on demand, the
trouble that a real one cannot be made to give reliably: errors before and after the run was created, a connection cut
after it was created, an expired token. The end-to-end and fault tests use the real Airflow.
"""

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr

from fieldpipe.settings import AirflowSettings


class Fault(Enum):
    """What goes wrong with one trigger."""

    ERROR_BEFORE = 500  # nothing was created
    UNAVAILABLE = 503
    TOO_MANY = 429
    FORBIDDEN = 403
    ERROR_AFTER = 1500  # the run was created, the answer is 500
    CUT_AFTER = 1501  # the run was created, the connection is cut


@dataclass
class StubAirflow:
    """State of the stub. `runs` maps run ids to states; `triggers` has every POST that arrived, with its answer."""

    dags: dict[str, bool] = field(default_factory=lambda: {"recording_to_csv": False})  # paused?
    runs: dict[str, str] = field(default_factory=dict)
    confs: dict[str, dict[str, Any]] = field(default_factory=dict)
    triggers: list[tuple[str, int]] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    logins: int = 0
    down: bool = False
    most_open: int = 0  # runs that were open at the same time, at most
    on_created: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self._tokens: set[str] = set()
        stub = self

        class Handler(_Handler):
            airflow = stub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.settings = AirflowSettings(
            base_url=f"http://127.0.0.1:{self._server.server_port}", user="admin", password=SecretStr("admin-password")
        )

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def expire_tokens(self) -> None:
        with self.lock:
            self._tokens.clear()

    def open_runs(self) -> list[str]:
        with self.lock:
            return [run for run, state in self.runs.items() if state in ("queued", "running")]

    def log_in(self, account: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if account != {"username": "admin", "password": "admin-password"}:
            return 401, {"detail": "Invalid credentials"}
        self.logins += 1
        token = f"token-{self.logins}"
        self._tokens.add(token)
        return 201, {"access_token": token}

    def knows(self, authorization: str | None) -> bool:
        return (authorization or "").removeprefix("Bearer ") in self._tokens

    def dag(self, dag_id: str) -> tuple[int, dict[str, Any]]:
        if dag_id not in self.dags:
            return 404, {"detail": "not found"}
        return 200, {"dag_id": dag_id, "is_paused": self.dags[dag_id], "is_stale": False, "has_import_errors": False}

    def run(self, run_id: str) -> tuple[int, dict[str, Any]]:
        if run_id not in self.runs:
            return 404, {"detail": "not found"}
        return 200, {"dag_run_id": run_id, "state": self.runs[run_id], "conf": self.confs[run_id]}

    def trigger(self, dag_id: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer status and body; a status above 1000 means: do it, then misbehave."""
        fault = self.faults.popleft() if self.faults else None
        if fault is not None and fault.value < 1000:
            return fault.value, {"detail": fault.name}
        if dag_id not in self.dags:
            return 404, {"detail": f"Dag with dag_id: '{dag_id}' not found"}
        if body.get("logical_date", 0) is not None or not isinstance(body["conf"], dict):
            return 422, {"detail": "bad body"}
        run_id = body["dag_run_id"]
        if run_id in self.runs:
            return 409, {"detail": "already exists"}
        self.runs[run_id], self.confs[run_id] = "queued", body["conf"]
        self.most_open = max(self.most_open, len(self.open_runs()))
        self.on_created(run_id)
        return (200, {"dag_run_id": run_id, "state": "queued"}) if fault is None else (fault.value, {})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer, in two writes, waits 40 ms for an acknowledgement
    airflow: StubAirflow

    def do_GET(self) -> None:
        parts = self._parts()
        with self.airflow.lock:
            status, value = self.airflow.run(parts[5]) if len(parts) == 6 else self.airflow.dag(parts[3])
            self._answer(*self._checked(status, value))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = self._parts()
        with self.airflow.lock:
            if parts == ["auth", "token"]:
                self._answer(*self.airflow.log_in(body))
                return
            status, value = self._checked(0, {})
            if status == 0:
                status, value = self.airflow.trigger(parts[3], body)
            self.airflow.triggers.append((body["dag_run_id"], status))
            self._answer(status, value)

    def _parts(self) -> list[str]:
        return [unquote(part) for part in self.path.strip("/").split("/")]

    def _checked(self, status: int, value: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.airflow.down:
            return 503, {"detail": "down"}
        return (status, value) if self.airflow.knows(self.headers["Authorization"]) else (401, {"detail": "token"})

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        if status == Fault.CUT_AFTER.value:
            self.close_connection = True
            return
        content = json.dumps(value).encode()
        self.send_response(500 if status == Fault.ERROR_AFTER.value else status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: the test looks at `triggers`."""
