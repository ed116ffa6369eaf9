"""What the embedded stack consists of: every service, what it needs first, how it is started and when it serves."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from fieldpipe.errors import ConfigurationError
from fieldpipe.local import airflow_server, credentials, ports, probe
from fieldpipe.local.airflow_server import NAMESPACE
from fieldpipe.local.credentials import AIRFLOW_PASSWORD, AIRFLOW_USER, STORE_USER, Credentials, write_private
from fieldpipe.local.home import Home
from fieldpipe.local.objectstore import MINIO_PORTS, SEAWEED_PORTS, MinioServer, SeaweedServer, minio_binary
from fieldpipe.local.postgres import PostgresServer
from fieldpipe.local.process import Command, Server, base_environment
from fieldpipe.settings import StoreSettings

RAW_BUCKET = "raw-data"
PROCESSED_BUCKET = "processed-data"
LEDGER_DATABASE = "ledger"
STORE_CHOICE = "FIELDPIPE_STORE"

SEAWEED_SYNC_SECONDS = "0.5"  # event-sync is the source of events
MINIO_SYNC_SECONDS = "60"  # MinIO sends them; event-sync finds what it lost


class Work(Protocol):
    """Something that is done once per start, before others start."""

    def needed(self) -> bool:
        """Whether there is anything to do."""

    def command(self) -> Command:
        """The process that does it; success is exit code 0."""

    def succeeded(self) -> None:
        """Called after success."""


@dataclass(frozen=True)
class Service:
    """A server that is kept running. It starts when all of `after` serve; `address` is for people."""

    name: str
    server: Server
    after: tuple[str, ...] = ()
    address: str | None = None
    start_seconds: float = 120.0


@dataclass(frozen=True)
class Job:
    """A command that must succeed once before those that name it in their `after` start."""

    name: str
    work: Work
    after: tuple[str, ...] = ()
    address: str | None = None
    start_seconds: float = 300.0


Step = Service | Job


@dataclass(frozen=True)
class Program:
    """A server of ours: a command line and a check."""

    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    check: Callable[[float], bool]

    def prepare(self) -> None:
        """Nothing."""

    def command(self) -> Command:
        return Command(self.arguments, self.folder, self.environment)

    def ready(self, since: float) -> bool:
        return self.check(since)


@dataclass(frozen=True)
class Script:
    """A job of ours: a command that may run at every start."""

    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    before: Callable[[], None] = lambda: None

    def needed(self) -> bool:
        self.before()
        return True

    def command(self) -> Command:
        return Command(self.arguments, self.folder, self.environment)

    def succeeded(self) -> None:
        """Nothing to remember."""


@dataclass(frozen=True)
class Stack:
    """The steps in the order in which they are shown, the variables that lead our programs to them, and who listens."""

    steps: tuple[Step, ...]
    environment: Mapping[str, str]
    ports: Mapping[str, int]
    litter: tuple[str, ...]


def compose(home: Home) -> Stack:
    """Everything about the stack of a folder; writes its configuration, starts nothing."""
    minio = _minio_chosen()
    names = (*(MINIO_PORTS if minio else SEAWEED_PORTS), "airflow", "webhook", "pods")
    chosen = ports.choose(names, home.config / "ports.json")
    secrets = credentials.load(home.config / "credentials.json")
    sockets = home.socket_folder()
    postgres = PostgresServer(home.data / "postgres", sockets / "postgres", home.stack)
    ours = environment(home, chosen, secrets, postgres)
    _write_pod_sources(home, chosen, secrets)
    airflow_server.prepare(home)
    steps = (
        Service("postgres", postgres),
        _store(home, sockets, chosen, secrets, minio=minio),
        *_airflow(home, chosen, secrets, postgres),
        *_events(home, chosen, ours, postgres, minio=minio),
        _pods(home, chosen),
    )
    outside = () if sockets.is_relative_to(home.root) else (str(sockets),)
    files = [file for step in steps if isinstance(step, Service) for file in step.server.command().litter]
    return Stack(steps, ours, chosen, (*outside, *map(str, files)))


def environment(
    home: Home, chosen: Mapping[str, int], secrets: Credentials, postgres: PostgresServer
) -> dict[str, str]:
    """The variables of our own programs, as `.env.example` describes them."""
    return base_environment(home.stack) | {
        "MINIO_ENDPOINT": _url(chosen["store"]),
        "MINIO_ACCESS_KEY": STORE_USER,
        "MINIO_SECRET_KEY": secrets.store_secret_key,
        "MINIO_REGION": "us-east-1",
        "FIELDPIPE_PROCESSED_BUCKET": PROCESSED_BUCKET,
        "FIELDPIPE_LEDGER_URL": postgres.url(LEDGER_DATABASE),
        "AIRFLOW_BASE_URL": _url(chosen["airflow"]),
        "AIRFLOW_USER": AIRFLOW_USER,
        "AIRFLOW_PASSWORD": AIRFLOW_PASSWORD,
        "WEBHOOK_URL": f"{_url(chosen['webhook'])}/minio-event",
        "WEBHOOK_BIND": f"{probe.HOST}:{chosen['webhook']}",
        "WEBHOOK_AUTH_TOKEN": secrets.webhook_token,
    }


def _store(home: Home, sockets: Path, chosen: Mapping[str, int], secrets: Credentials, *, minio: bool) -> Service:
    settings = StoreSettings(
        endpoint=_url(chosen["store"]), access_key=STORE_USER, secret_key=SecretStr(secrets.store_secret_key)
    )
    buckets = (RAW_BUCKET, PROCESSED_BUCKET)
    if minio:
        notify = {
            "MINIO_NOTIFY_WEBHOOK_ENABLE_PRIMARY": "on",
            "MINIO_NOTIFY_WEBHOOK_ENDPOINT_PRIMARY": f"{_url(chosen['webhook'])}/minio-event",
            "MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_PRIMARY": secrets.webhook_token,
            "MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_PRIMARY": str(home.data / "minio-events"),
            "MINIO_NOTIFY_WEBHOOK_QUEUE_LIMIT_PRIMARY": "100000",
        }
        server: Server = MinioServer(home.data / "minio", chosen, settings, buckets, home.stack, notify)
    else:
        server = SeaweedServer(home.data / "seaweedfs", sockets, chosen, settings, buckets, home.stack)
    return Service("store", server, address=_url(chosen["store"]))


def _airflow(home: Home, chosen: Mapping[str, int], secrets: Credentials, postgres: PostgresServer) -> tuple[Step, ...]:
    port = chosen["airflow"]
    variables = airflow_server.environment(home, port, postgres.url(airflow_server.DATABASE), secrets)
    migration = airflow_server.Migration(postgres, variables, home.data / "airflow")
    processes = airflow_server.servers(home, port, variables)
    return (
        Job("airflow-db", migration, after=("postgres",)),
        *(
            Service(name, server, after=("airflow-db",), address=_url(port) if name == "api-server" else None)
            for name, server in processes.items()
        ),
    )


def _events(
    home: Home, chosen: Mapping[str, int], ours: Mapping[str, str], postgres: PostgresServer, *, minio: bool
) -> tuple[Step, ...]:
    port = chosen["webhook"]
    gunicorn = ("gunicorn", "-c", "webhook/gunicorn.conf.py", "webhook.wsgi:app")
    sync = ("scripts.sync_events", "--watch", MINIO_SYNC_SECONDS if minio else SEAWEED_SYNC_SECONDS)

    def program(check: Callable[[float], bool], *arguments: str) -> Program:
        return Program((sys.executable, "-m", *arguments), home.project, ours, check)

    migrate = Script(
        (sys.executable, "-m", "scripts.ledger", "migrate"),
        home.project,
        ours,
        before=lambda: postgres.ensure_database(LEDGER_DATABASE),
    )
    steps: list[Step] = [
        Job("ledger-db", migrate, after=("postgres",)),
        Service(
            "webhook",
            program(lambda _: probe.get(port, "/ready") is not None, *gunicorn),
            after=("ledger-db",),
            address=f"{_url(port)}/minio-event",
        ),
        Service("dispatcher", program(_settled, "scripts.dispatch_events"), after=("ledger-db", "store")),
        Service("event-sync", program(_settled, *sync), after=("webhook", "store")),
    ]
    if minio:
        set_up = Script((sys.executable, "-m", "scripts.setup_events"), home.project, ours)
        steps.append(Job("event-setup", set_up, after=("webhook", "store")))
    return tuple(steps)


def _pods(home: Home, chosen: Mapping[str, int]) -> Service:
    port = chosen["pods"]
    arguments = (
        *(sys.executable, "-m", "scripts.serve_pods"),
        *("--port", str(port)),
        *("--run-dir", str(home.run / "pods")),
        *("--config", str(home.config / "pods.json")),
        *("--namespace", NAMESPACE),
        *("--workdir", str(home.project)),
        *("--write-kubeconfig", str(home.config / "kubeconfig")),
    )
    server = Program(
        arguments, home.project, base_environment(home.stack), lambda _: probe.get(port, "/version") is not None
    )
    return Service("pods", server, address=_url(port))


def _write_pod_sources(home: Home, chosen: Mapping[str, int], secrets: Credentials) -> None:
    store = {"access-key": STORE_USER, "secret-key": secrets.store_secret_key}
    config = {
        "MINIO_ENDPOINT": _url(chosen["store"]),
        "MINIO_REGION": "us-east-1",
        "FIELDPIPE_PROCESSED_BUCKET": PROCESSED_BUCKET,
    }
    sources = {"secrets": {"fieldpipe-store": store}, "configmaps": {"pipeline-config": config}}
    write_private(home.config / "pods.json", sources)


def _minio_chosen() -> bool:
    choice = os.environ.get(STORE_CHOICE) or "seaweedfs"
    if choice not in ("seaweedfs", "minio"):
        raise ConfigurationError(f"{STORE_CHOICE} is {choice!r}: it may be seaweedfs (the default) or minio")
    if choice == "minio":
        minio_binary()
    return choice == "minio"


def _settled(since: float) -> bool:
    """For programs that listen nowhere: with wrong settings they would have ended by now."""
    return time.time() - since > 1.5


def _url(port: int) -> str:
    return f"http://{probe.HOST}:{port}"
