"""An embedded stack of the benchmark's own, in a temporary folder: our DAGs and two more, and routes of its own."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy import Engine

from fieldpipe.events import database
from fieldpipe.local import stack
from fieldpipe.local.display import Progress
from fieldpipe.local.home import Home
from fieldpipe.local.services import ROUTES_FILE
from fieldpipe.settings import AirflowSettings, LedgerSettings, StoreSettings
from fieldpipe.store import ObjectStore
from tests.bench.airflow import Airflow
from tests.bench.load import Target
from tests.bench.progress import say

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
PARTS = ("dags", "plugins", "scripts", "webhook")


@dataclass(frozen=True)
class BenchStack:
    """A stack that runs now, and what is needed to talk to it."""

    home: Home
    webhook: Target
    airflow: Airflow
    airflow_url: str
    store: ObjectStore
    ledger: Engine


@contextmanager
def embedded_stack(routes: str = "routes.toml") -> Iterator[BenchStack]:
    """Start a stack with the routes of this file and stop it in any case.

    Its folder is deleted, unless something failed: the logs are in it.
    """
    folder = Path(tempfile.mkdtemp(prefix="fieldpipe-bench-"))
    home = Home(folder / "home", _project(folder / "project"))
    os.environ[ROUTES_FILE] = str(HERE / routes)
    finished = False
    try:
        stack.start(home, Progress().show)
        found = _open(home)
        yield found
        found.ledger.dispose()
        finished = True
    finally:
        stack.stop(home)
        if finished:
            shutil.rmtree(folder)
        else:
            say(f"not finished; the stack's logs are in {home.logs}")


def _project(folder: Path) -> Path:
    """A copy of what the stack runs, with the benchmark's DAGs beside ours."""
    for part in PARTS:
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HERE / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    return folder


def _open(home: Home) -> BenchStack:
    variables = stack.environment(home)
    port = urlsplit(variables["WEBHOOK_URL"]).port
    assert port is not None
    account = AirflowSettings(
        base_url=variables["AIRFLOW_BASE_URL"],
        user=variables["AIRFLOW_USER"],
        password=SecretStr(variables["AIRFLOW_PASSWORD"]),
    )
    store = StoreSettings(
        endpoint=variables["MINIO_ENDPOINT"],
        access_key=variables["MINIO_ACCESS_KEY"],
        secret_key=SecretStr(variables["MINIO_SECRET_KEY"]),
    )
    ledger = LedgerSettings(url=SecretStr(variables["FIELDPIPE_LEDGER_URL"]))
    return BenchStack(
        home,
        Target(port, token=variables["WEBHOOK_AUTH_TOKEN"]),
        Airflow(account),
        account.base_url,
        ObjectStore.connect(store),
        database.connect(ledger, process="bench"),
    )
