"""The world of the events room under test: a ledger on a real PostgreSQL, a real store, real processes."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, text

from fieldpipe.events import database
from fieldpipe.events.airflow import AirflowClient
from fieldpipe.events.dispatch import Dispatcher
from fieldpipe.events.ingest import Arrival, RejectedBody, record
from fieldpipe.events.ledger import Ledger
from fieldpipe.events.notification import Event, Status
from fieldpipe.events.routes import Route, Routes
from fieldpipe.handover import Outcome, Report, report_key
from fieldpipe.local.ports import free_port
from fieldpipe.local.process import Child, Command
from fieldpipe.store import ObjectStore
from tests.contract.events.stub_airflow import StubAirflow
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]
OUTPUT = "processed-data"
TOKEN = "test-token"


def event(key: str, *, etag: str | None = "e1", sequencer: str | None = "s1", **more: Any) -> Event:
    return Event("raw-data", key, etag, "ObjectCreated:Put", "minio", sequencer=sequencer, **more)


def body(key: str, *, bucket: str = "raw-data", etag: str = "e1", sequencer: str = "s1") -> bytes:
    """A notification as MinIO sends it; `key` as it is on the wire."""
    found = {"key": key, "size": 5, "eTag": etag, "versionId": "v1", "sequencer": sequencer}
    s3 = {"bucket": {"name": bucket}, "object": found}
    record = {"eventName": "s3:ObjectCreated:Put", "eventSource": "minio:s3", "s3": s3}
    return json.dumps({"Records": [record]}).encode()


class LedgerWorld:
    """A migrated ledger of the test's own."""

    def __init__(self, engine: Engine, url: str) -> None:
        self.engine = engine
        self.url = url

    def record(self, *events: Event, route: str = "recordings") -> list[Status]:
        items: list[Arrival | RejectedBody] = [Arrival(route, each) for each in events]
        with database.transaction(self.engine) as connection:
            return record(connection, items)

    def rows(self, query: str = "SELECT * FROM objects ORDER BY id", **values: object) -> list[dict[str, Any]]:
        with self.engine.begin() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]

    def execute(self, statement: str, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def states(self) -> dict[str, str]:
        """State by key and ETag, as `key@etag`; the ETag e1 is not said."""
        return {f"{r['key']}@{r['etag']}".removesuffix("@e1"): r["state"] for r in self.rows()}

    def ledger(self, **options: Any) -> Ledger:
        return Ledger(self.engine, secrets.token_hex(4), **{"lease_seconds": 15.0, **options})


class DispatchWorld:
    """A dispatcher between a ledger, a store and the stub of Airflow; and what pods would do."""

    def __init__(self, ledger: LedgerWorld, store: ObjectStore, airflow: StubAirflow) -> None:
        self.ledger = ledger
        self.store = store
        self.airflow = airflow
        self.route = Route(name="recordings", bucket="raw-data", patterns=("**/*.mcap",), dag_id="recording_to_csv")

    def dispatcher(self, *, lease_seconds: float = 15.0, **route: Any) -> Dispatcher:
        routes = Routes([self.route.model_copy(update=route)], output_bucket=OUTPUT)
        return Dispatcher(
            engine=self.ledger.engine,
            ledger=self.ledger.ledger(lease_seconds=lease_seconds, chance=lambda: 1.0),
            airflow=AirflowClient(self.airflow.settings),
            store=self.store,
            routes=routes,
            output_bucket=OUTPUT,
            chance=lambda: 1.0,
        )

    def conf(self, run_id: str) -> list[dict[str, Any]]:
        objects: list[dict[str, Any]] = self.airflow.confs[run_id]["objects"]
        return objects

    def report(self, run_id: str, object_id: int, report: Report, attempt: int = 1) -> None:
        self.store.put(OUTPUT, report_key(run_id, object_id, attempt), report.to_json())

    def convert(self, run_id: str, *, keys: Iterable[str] | None = None, state: str = "success") -> None:
        """Do what a pod does: report on the objects (those with these keys), then let the run end."""
        for item in self.conf(run_id):
            if keys is None or item["key"] in keys:
                self.report(run_id, item["id"], Report(Outcome.CONVERTED, manifest=f"{item['key']}/manifest.json"))
        self.airflow.runs[run_id] = state

    def end_all(self, report: Report | None, state: str = "success") -> None:
        """Let every open run end with this report for each of its objects."""
        for run_id in self.airflow.open_runs():
            for item in self.conf(run_id):
                if report is not None:
                    self.report(run_id, item["id"], report)
            self.airflow.runs[run_id] = state

    def turn(self, dispatcher: Dispatcher) -> dict[str, str]:
        """One turn in which every row and every run is due; the states afterwards."""
        self.ledger.execute("UPDATE runs SET due_at = now() WHERE state <> 'closed'")
        self.ledger.execute("UPDATE objects SET due_at = now() WHERE state = 'received'")
        dispatcher.step()
        return self.ledger.states()

    def environment(self, store_environment: dict[str, str], **more: str) -> dict[str, str]:
        """For a dispatcher in a process of its own."""
        settings = self.airflow.settings
        return {
            **os.environ,
            **store_environment,
            "FIELDPIPE_LEDGER_URL": self.ledger.url,
            "AIRFLOW_BASE_URL": settings.base_url,
            "AIRFLOW_USER": settings.user,
            "AIRFLOW_PASSWORD": settings.password.get_secret_value(),
            "FIELDPIPE_DISPATCH_LEASE_SECONDS": "1",
            **more,
        }


def run_module(name: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `python -m name` to its end, as a person would."""
    return subprocess.run(
        [sys.executable, "-m", name, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class WebhookProcess:
    """The real webhook under gunicorn on a port of its own; `environment` as gunicorn shall see it."""

    def __init__(self, folder: Path, ledger_url: str, mark: str, **environment: str) -> None:
        self.port = free_port(set())
        self.log = folder / "webhook.log"
        self.base = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.base}/minio-event"
        self.environment = {
            **os.environ,
            "FIELDPIPE_STACK": mark,
            "FIELDPIPE_LEDGER_URL": ledger_url,
            "WEBHOOK_BIND": f"127.0.0.1:{self.port}",
            "WEBHOOK_AUTH_TOKEN": TOKEN,
            "WEBHOOK_URL": self.url,
            **environment,
        }
        self.http = httpx.Client()
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """Of the master; the workers are its children."""
        assert self._child is not None, "it was not started"
        return self._child.pid

    def start(self) -> "WebhookProcess":
        arguments = (sys.executable, "-m", "gunicorn", "-c", "webhook/gunicorn.conf.py", "webhook.wsgi:app")
        self.http = httpx.Client(base_url=self.base, timeout=20, trust_env=False)
        self._child = Child(Command(arguments, ROOT, self.environment, signal.SIGTERM), self.log)
        eventually(self._alive, seconds=20)
        return self

    def stop(self) -> None:
        self.http.close()  # else it lingers for the next request of our connection
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    def post(self, content: bytes, *, token: str | None = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.http.post("/minio-event", content=content, headers=headers)

    def _alive(self) -> bool:
        try:
            return self.http.get("/health").status_code == 200
        except httpx.TransportError:
            return False
