"""Events, ledger, dispatchers and pods as real processes around a real PostgreSQL and a real store, without Airflow."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from fieldpipe.crashpoints import VARIABLE
from fieldpipe.events.announce import notification
from fieldpipe.events.migrations import migrate
from fieldpipe.events.receive import Receiver
from fieldpipe.events.routes import load_routes
from fieldpipe.handover import RUN_VARIABLE, TRY_VARIABLE, WORK_VARIABLE
from fieldpipe.local import process
from fieldpipe.local.process import Child, Command
from fieldpipe.store import ObjectInfo
from tests.contract.events.world import TOKEN, WebhookProcess
from tests.faults.airflow_pods import AirflowWithPods
from tests.faults.harness import PROCESSED, RAW, Put, World
from tests.servers import Store

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = "1"
SECONDS = 60.0  # for everything that should take a few
SLEEPS_CONVERTED = {VARIABLE: "sleep recordings.decoded"}  # a pod stops itself before it uploads anything


class Plane(World):
    """One ledger, and whatever processes a test starts around it."""

    def __init__(self, folder: Path, mark: str, store: Store, database_url: str) -> None:
        super().__init__(store.client, database_url, folder)
        self.folder = folder
        self.mark = mark
        migrate(self.ledger.engine)
        self.airflow = AirflowWithPods(start_pod=self.start_pod)
        self.environment = process.base_environment(mark) | {
            **store.environment,
            **self.airflow.environment,
            "FIELDPIPE_LEDGER_URL": database_url,
            "FIELDPIPE_PROCESSED_BUCKET": PROCESSED,
            "FIELDPIPE_DISPATCH_LEASE_SECONDS": LEASE_SECONDS,
            "TMPDIR": str(folder),
            "WEBHOOK_AUTH_TOKEN": TOKEN,
        }
        self._started: list[Child] = []
        self._webhooks: list[WebhookProcess] = []

    # objects and events

    def events(self, *puts: Put) -> bytes:
        """The body of a notification about these objects as they are now."""
        return json.dumps(notification([self.listed(put) for put in puts])).encode()

    def listed(self, put: Put) -> ObjectInfo:
        """What a listing says about a version; about one that is no longer there, what it would have said."""
        return next(
            (info for info in self.store.list(RAW, put.key) if info.etag == put.etag),
            ObjectInfo(RAW, put.key, len(put.content), put.etag, None),
        )

    def record(self, *puts: Put) -> list[str]:
        """Record their events as the webhook does, in this process."""
        receiver = Receiver(self.ledger.engine, load_routes(None, output_bucket=PROCESSED))
        return [str(answer.status) for answer in receiver.receive(self.events(*puts))]

    # processes

    def start(self, name: str, *arguments: str, **variables: str) -> Child:
        """Start `python -m ARGUMENTS`; its output goes to NAME.log."""
        command = Command((sys.executable, "-m", *arguments), ROOT, self.environment | variables)
        self._started.append(Child(command, self.folder / f"{name}.log"))
        return self._started[-1]

    def dispatcher(self, *, crash_at: str = "", name: str = "dispatcher") -> Child:
        """Start a dispatcher."""
        return self.start(name, "scripts.dispatch_events", **{VARIABLE: crash_at})

    def webhook(self, *, crash_at: str = "", name: str = "webhook", **variables: str) -> WebhookProcess:
        """Start a webhook; returns when it is alive."""
        environment = self.environment | {VARIABLE: crash_at} | variables
        webhook = WebhookProcess(self.folder / name, self.url, self.mark, **environment).start()
        self._webhooks.append(webhook)
        return webhook

    def start_pod(
        self, run_id: str, attempt: int, work: str, variables: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a pod's process with what its spec would give it, and a scratch folder of its own."""
        scratch = self.folder / f"scratch-{run_id[-8:]}-{attempt}-{uuid4().hex[:4]}"
        scratch.mkdir()
        own = {RUN_VARIABLE: run_id, TRY_VARIABLE: str(attempt), WORK_VARIABLE: work, "TMPDIR": str(scratch)}
        with (self.folder / "pods.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "scripts.convert_recording", "--batch"],
                cwd=ROOT,
                env=self.environment | own | dict(variables or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    # ends

    def stop(self) -> None:
        """End everything that was started."""
        for child in self._started:
            child.kill()
        for webhook in self._webhooks:
            webhook.kill()
        self.airflow.stop()
        self.ledger.close()
