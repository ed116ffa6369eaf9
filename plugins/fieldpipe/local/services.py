"""What the embedded stack consists of: every service, what it needs first, how it is started and when it serves."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from fieldpipe.errors import ConfigurationError
from fieldpipe.local import additions, airflow_server, celery_workers, credentials, ports, probe
from fieldpipe.local.additions import Additions
from fieldpipe.local.airflow_server import NAMESPACE
from fieldpipe.local.celery_workers import LOGS_BUCKET, CeleryWorkers
from fieldpipe.local.credentials import AIRFLOW_PASSWORD, AIRFLOW_USER, STORE_USER, Credentials, write_private
from fieldpipe.local.home import Home
from fieldpipe.local.objectstore import MINIO_PORTS, SEAWEED_PORTS, MinioServer, SeaweedServer, minio_binary
from fieldpipe.local.postgres import PostgresServer
from fieldpipe.local.process import Server, base_environment
from fieldpipe.local.steps import Job, Program, Script, Service, Step
from fieldpipe.settings import StoreSettings

RAW_BUCKET = "raw-data"
PROCESSED_BUCKET = "processed-data"
LEDGER_DATABASE = "ledger"
STORE_CHOICE = "FIELDPIPE_STORE"
ROUTES_FILE = "FIELDPIPE_ROUTES_FILE"

SEAWEED_SYNC_SECONDS = "0.5"  # event-sync is the source of events
MINIO_SYNC_SECONDS = "60"  # MinIO sends them; event-sync finds what it lost


@dataclass(frozen=True)
class Stack:
    """The steps in the order in which they are shown, and the variables that lead our programs to them.

    `litter`: files outside the stack's folder that are deleted when it has stopped.
    """

    steps: tuple[Step, ...]
    environment: Mapping[str, str]
    litter: tuple[str, ...]


def compose(home: Home) -> Stack:
    """Everything about the stack of a folder; writes its configuration, starts nothing."""
    minio = _minio_chosen()
    count = celery_workers.chosen()
    names = (*(MINIO_PORTS if minio else SEAWEED_PORTS), "airflow", "webhook", "pods", *additions.names())
    chosen = ports.choose(names, home.config / "ports.json")
    secrets = credentials.load(home.config / "credentials.json")
    sockets = home.socket_folder()
    workers = CeleryWorkers(count, home, sockets / "redis.sock") if count else None
    postgres = PostgresServer(home.data / "postgres", sockets / "postgres", home.stack)
    added = additions.compose(home, chosen, _store_settings(chosen, secrets), secrets, sockets)
    shared = added.variables() | _routes()
    ours = environment(home, chosen, secrets, postgres) | shared
    _write_pod_sources(home, chosen, secrets, added)
    airflow_server.prepare(home)
    buckets = (
        RAW_BUCKET,
        *((LOGS_BUCKET,) if workers else ()),
        *added.buckets(),
        PROCESSED_BUCKET,
    )
    steps = (
        Service("postgres", postgres),
        _store(home, sockets, chosen, secrets, buckets, minio=minio),
        *_airflow(home, chosen, secrets, postgres, workers, shared),
        *_events(home, chosen, ours, postgres, minio=minio),
        _pods(home, chosen),
        *added.steps(),
    )
    outside = () if sockets.is_relative_to(home.root) else (str(sockets),)
    files = [file for step in steps if isinstance(step, Service) for file in step.server.command().litter]
    return Stack(steps, ours | added.account(), (*outside, *map(str, files)))


def environment(
    home: Home, chosen: Mapping[str, int], secrets: Credentials, postgres: PostgresServer
) -> dict[str, str]:
    """The variables of our own programs, as `.env.example` describes them."""
    return {
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
        "KUBECONFIG": str(home.config / "kubeconfig"),
    }


def _store(
    home: Home,
    sockets: Path,
    chosen: Mapping[str, int],
    secrets: Credentials,
    buckets: tuple[str, ...],
    *,
    minio: bool,
) -> Service:
    settings = _store_settings(chosen, secrets)
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


def _airflow(
    home: Home,
    chosen: Mapping[str, int],
    secrets: Credentials,
    postgres: PostgresServer,
    workers: CeleryWorkers | None,
    shared: Mapping[str, str],
) -> tuple[Step, ...]:
    port = chosen["airflow"]
    database = postgres.url(airflow_server.DATABASE)
    variables = airflow_server.environment(home, port, database, secrets) | dict(shared)
    if workers is not None:
        variables |= workers.variables(database, _store_settings(chosen, secrets))
    migration = airflow_server.Migration(postgres, variables, home.data / "airflow")
    processes = airflow_server.servers(home, port, variables)
    return (
        Job("airflow-db", migration, after=("postgres",)),
        *(
            Service(name, server, after=("airflow-db",), address=_url(port) if name == "api-server" else None)
            for name, server in processes.items()
        ),
        *(workers.steps(variables) if workers is not None else ()),
    )


def _events(
    home: Home, chosen: Mapping[str, int], ours: Mapping[str, str], postgres: PostgresServer, *, minio: bool
) -> tuple[Step, ...]:
    port = chosen["webhook"]
    variables = base_environment(home.stack) | dict(ours)

    def program(check: Callable[[float], bool], *arguments: str) -> Program:
        return Program((sys.executable, "-m", *arguments), home.project, variables, check)

    def connected(name: str) -> Callable[[float], bool]:
        return lambda since: postgres.connected(f"fieldpipe-{name}", since)

    def script(*arguments: str, before: Callable[[], None] = lambda: None) -> Script:
        return Script((sys.executable, "-m", *arguments), home.project, variables, before)

    webhook = program(
        lambda _: probe.get(port, "/ready") is not None,
        "gunicorn",
        "-c",
        "webhook/gunicorn.conf.py",
        "webhook.wsgi:app",
    )
    migrate = script("scripts.ledger", "migrate", before=lambda: postgres.ensure_database(LEDGER_DATABASE))
    dispatcher = program(connected("dispatcher"), "scripts.dispatch_events")
    pause = MINIO_SYNC_SECONDS if minio else SEAWEED_SYNC_SECONDS
    sync = program(connected("event-sync"), "scripts.sync_events", "--watch", pause)
    set_up = (Job("event-setup", script("scripts.setup_events"), after=("webhook", "store")),) if minio else ()
    return (
        Job("ledger-db", migrate, after=("postgres",)),
        Service("webhook", webhook, after=("ledger-db",), address=f"{_url(port)}/minio-event"),
        Service("dispatcher", dispatcher, after=("ledger-db", "store")),
        *set_up,
        Service("event-sync", sync, after=("webhook", "store")),
    )


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


def _write_pod_sources(home: Home, chosen: Mapping[str, int], secrets: Credentials, added: Additions) -> None:
    store = {"access-key": STORE_USER, "secret-key": secrets.store_secret_key}
    config = {
        "MINIO_ENDPOINT": _url(chosen["store"]),
        "MINIO_REGION": "us-east-1",
        "FIELDPIPE_PROCESSED_BUCKET": PROCESSED_BUCKET,
        **added.variables(),
    }
    sources = {"secrets": {"fieldpipe-store": store, **added.secrets()}, "configmaps": {"pipeline-config": config}}
    write_private(home.config / "pods.json", sources)


def _store_settings(chosen: Mapping[str, int], secrets: Credentials) -> StoreSettings:
    key = SecretStr(secrets.store_secret_key)
    return StoreSettings(endpoint=_url(chosen["store"]), access_key=STORE_USER, secret_key=key)


def _routes() -> dict[str, str]:
    """The user's own routes file, if there is one: the webhook, the dispatcher and the DAG read the same."""
    file = os.environ.get(ROUTES_FILE)
    return {ROUTES_FILE: str(Path(file).resolve())} if file else {}


def _minio_chosen() -> bool:
    choice = os.environ.get(STORE_CHOICE) or "seaweedfs"
    if choice not in ("seaweedfs", "minio"):
        raise ConfigurationError(f"{STORE_CHOICE} is {choice!r}: it may be seaweedfs (the default) or minio")
    if choice == "minio":
        minio_binary()
    return choice == "minio"


def _url(port: int) -> str:
    return f"http://{probe.HOST}:{port}"
