"""Web servers of the benchmark's own: our webhook with nothing but its ledger, and the receiver it is compared with."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import SecretStr

from fieldpipe.events import database
from fieldpipe.events.migrations import migrate
from fieldpipe.local import ports, probe, process
from fieldpipe.local.postgres import PostgresServer
from fieldpipe.local.process import base_environment
from fieldpipe.local.steps import Program
from fieldpipe.settings import LedgerSettings
from tests.bench.load import Target

PROJECT = Path(__file__).resolve().parents[2]
MARK = f"bench-{os.getpid()}"
TOKEN = "a-token-of-the-benchmark"
LEDGER = "ledger"


@contextmanager
def webhook_alone() -> Iterator[Target]:
    """PostgreSQL (with fsync) and gunicorn as the stack runs them; both are ended in any case."""
    with _folder() as folder, ExitStack() as cleanup:
        postgres = PostgresServer(folder / "data", folder / "s", MARK)
        cleanup.callback(process.start(postgres, folder / "postgres.log").stop)
        postgres.ensure_database(LEDGER)
        engine = database.connect(LedgerSettings(url=SecretStr(postgres.url(LEDGER))), process="bench")
        migrate(engine)
        engine.dispose()
        port = ports.free_port(set())
        variables = {
            "FIELDPIPE_LEDGER_URL": postgres.url(LEDGER),
            "WEBHOOK_BIND": f"{probe.HOST}:{port}",
            "WEBHOOK_AUTH_TOKEN": TOKEN,
        }
        arguments = ("-c", "webhook/gunicorn.conf.py", "webhook.wsgi:app")
        cleanup.callback(process.start(_gunicorn(port, "/ready", arguments, variables), folder / "webhook.log").stop)
        yield Target(port, token=TOKEN)


@contextmanager
def seed_receiver(airflow_url: str, token: str) -> Iterator[Target]:
    """The receiver that triggers Airflow inside the request, with as many workers and threads as ours has."""
    with _folder() as folder:
        port = ports.free_port(set())
        options = ("--bind", f"{probe.HOST}:{port}", "--workers", "2", "--threads", "64", "--keep-alive", "75")
        arguments = (*options, "--no-control-socket", "tests.bench.seed_receiver:app")
        variables = {"AIRFLOW_BASE_URL": airflow_url, "BENCH_TOKEN": token}
        child = process.start(_gunicorn(port, "/health", arguments, variables), folder / "receiver.log")
        try:
            yield Target(port)
        finally:
            child.stop()


def _gunicorn(port: int, ready: str, arguments: tuple[str, ...], variables: Mapping[str, str]) -> Program:
    return Program(
        (sys.executable, "-m", "gunicorn", *arguments),
        PROJECT,
        {**base_environment(MARK), **variables},
        lambda _: probe.get(port, ready) is not None,
    )


@contextmanager
def _folder() -> Iterator[Path]:
    """A short path, as unix sockets need it, that PostgreSQL's unprivileged user may pass."""
    folder = Path(tempfile.mkdtemp(prefix="fp-bench-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
