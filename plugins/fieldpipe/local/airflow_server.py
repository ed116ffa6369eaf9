"""Airflow 3 in the embedded stack: its environment, its four processes, and its database's migration.

The API server is started as the ASGI application that `airflow api-server` runs, without that command around it: that
saves a second, which counts when it has to serve again after a crash.
"""

import importlib.metadata
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fieldpipe.local import probe
from fieldpipe.local.credentials import AIRFLOW_PASSWORD, AIRFLOW_USER, Credentials, write_private
from fieldpipe.local.home import Home
from fieldpipe.local.postgres import PostgresServer
from fieldpipe.local.process import Command, base_environment

DATABASE = "airflow"
NAMESPACE = "fieldpipe"
IMAGE = "fieldpipe-worker:local"

LAUNCH = (sys.executable, "-m", "fieldpipe.local.launch")
_POD_MODULES = ("airflow", "airflow.providers.cncf.kubernetes.operators.pod", "kubernetes_asyncio.client")
PRELOAD = tuple(word for module in _POD_MODULES for word in ("--import", module))
_HEARTBEATS = {
    "scheduler": ("scheduler", "latest_scheduler_heartbeat"),
    "dag-processor": ("dag_processor", "latest_dag_processor_heartbeat"),
    "triggerer": ("triggerer", "latest_triggerer_heartbeat"),
}


@dataclass(frozen=True)
class AirflowServer:
    """One of Airflow's processes. `check` says whether the one that was started at a time serves."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    check: Callable[[float], bool]
    stop_seconds: float = 5.0  # the scheduler sometimes takes long; it loses nothing when it is killed

    def prepare(self) -> None:
        """Nothing: `prepare` of this module has done it for all."""

    def command(self) -> Command:
        return Command(self.arguments, self.folder, self.environment, stop_seconds=self.stop_seconds)

    def ready(self, since: float) -> bool:
        return self.check(since)


def servers(home: Home, port: int, environment: Mapping[str, str]) -> dict[str, AirflowServer]:
    """The four processes by name."""
    folder = home.data / "airflow"
    asgi = ("uvicorn", "airflow.api_fastapi.main:app", "--host", probe.HOST, "--port", str(port))
    options = ("--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "2")

    def one(check: Callable[[float], bool], *arguments: str) -> AirflowServer:
        return AirflowServer((*LAUNCH, *arguments), environment, folder, check)

    def beats(name: str) -> Callable[[float], bool]:
        return lambda since: _beats(port, name, since)

    return {
        "api-server": one(lambda _: _serves(port), *asgi, *options),
        # --skip-serve-logs: that server listens on every interface; the UI reads logs from the folder all share.
        "scheduler": one(beats("scheduler"), *PRELOAD, "airflow", "scheduler", "--skip-serve-logs"),
        "dag-processor": one(beats("dag-processor"), *PRELOAD, "airflow", "dag-processor"),
        "triggerer": one(beats("triggerer"), "airflow", "triggerer", "--skip-serve-logs"),
    }


def environment(home: Home, port: int, database_url: str, credentials: Credentials) -> dict[str, str]:
    """All variables of Airflow's processes; their meaning is in Airflow's configuration reference."""
    folder = home.data / "airflow"
    base_url = f"http://{probe.HOST}:{port}"
    logs = home.logs / "airflow"
    settings = {
        "API__BASE_URL": base_url,
        "API__SECRET_KEY": credentials.airflow_secret_key,
        "API_AUTH__JWT_SECRET": credentials.airflow_jwt_secret,
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__DAGS_FOLDER": str(home.project / "dags"),
        "CORE__EXECUTION_API_SERVER_URL": f"{base_url}/execution/",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__FERNET_KEY": credentials.airflow_fernet_key,
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": "8",
        "CORE__PLUGINS_FOLDER": str(home.project / "plugins"),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{AIRFLOW_USER}:admin",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "DATABASE__SQL_ALCHEMY_CONN": database_url,
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": database_url.replace("+psycopg2:", "+asyncpg:"),
        # The API server's event loop waits for a connection too: with the usual 5 + 10 of them, 16 requests at once
        # stopped it for 30 s (3.3.2), tasks and all.
        "DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": "60",
        "DATABASE__SQL_ALCHEMY_POOL_SIZE": "10",
        "LOGGING__BASE_LOG_FOLDER": str(logs),
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(logs / "dag_processor"),
        # After a crash the scheduler takes up its predecessor's tasks within seconds, not within five minutes.
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        # A Pods API that restarts is back within a second: ask again soon.
        "WORKERS__API_RETRY_WAIT_MAX": "2",
        "WORKERS__API_RETRY_WAIT_MIN": "0.2",
    }
    others = {
        "AIRFLOW_HOME": str(folder),
        "FIELDPIPE_POD_IMAGE": IMAGE,
        "FIELDPIPE_POD_NAMESPACE": NAMESPACE,
        # As a connection, not as KUBECONFIG: the two together stop deferrable tasks, and without the variable every
        # task would ask the API server for the connection first.
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(
            {
                "conn_type": "kubernetes",
                "extra": {
                    "kube_config_path": str(home.config / "kubeconfig"),
                    "namespace": NAMESPACE,
                    "in_cluster": False,
                },
            }
        ),
    }
    return base_environment(home.stack) | others | {f"AIRFLOW__{name}": value for name, value in settings.items()}


def prepare(home: Home) -> None:
    """Create Airflow's folder and the password file of its one account."""
    folder = home.data / "airflow"
    folder.mkdir(parents=True, exist_ok=True)
    write_private(folder / "passwords.json", {AIRFLOW_USER: AIRFLOW_PASSWORD})


@dataclass(frozen=True)
class Migration:
    """Brings Airflow's database up to the installed version; the database itself remembers which that was."""

    postgres: PostgresServer
    environment: Mapping[str, str]
    folder: Path

    def needed(self) -> bool:
        """Whether it has to run: `airflow db migrate` takes five seconds even when there is nothing to do."""
        self.postgres.ensure_database(DATABASE)
        return self.postgres.note(DATABASE) != _version()

    def command(self) -> Command:
        return Command((*LAUNCH, "airflow", "db", "migrate"), self.folder, self.environment)

    def succeeded(self) -> None:
        """Remember the version."""
        self.postgres.set_note(DATABASE, _version())


def _version() -> str:
    return f"airflow {importlib.metadata.version('apache-airflow')}"


def _serves(port: int) -> bool:
    """The second question builds the API for tasks: without it the first task would wait for that."""
    health = probe.get(port, "/api/v2/monitor/health")
    return health is not None and probe.get(port, "/execution/health", seconds=30) is not None


def _beats(port: int, name: str, since: float) -> bool:
    part, field = _HEARTBEATS[name]
    heartbeat = ((probe.get(port, "/api/v2/monitor/health") or {}).get(part) or {}).get(field)
    return heartbeat is not None and datetime.fromisoformat(heartbeat).timestamp() >= since
