"""Airflow with Celery in the embedded stack: a Redis, workers that take tasks from it, and task logs in the store.

It is how Airflow runs in a cluster, where workers come and go: a log has to outlive the worker that wrote it.
"""

import importlib.metadata
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fieldpipe.errors import ConfigurationError
from fieldpipe.local.airflow_server import LAUNCH, PRELOAD, AirflowServer
from fieldpipe.local.home import Home
from fieldpipe.local.process import Command, base_environment
from fieldpipe.local.steps import Service, Step
from fieldpipe.settings import StoreSettings

WORKERS = "FIELDPIPE_CELERY_WORKERS"
LOGS_BUCKET = "airflow-logs"
CONCURRENCY = 4  # tasks of a worker at a time

_PACKAGE = "apache-airflow-providers-celery"
_MOST = 16


@dataclass(frozen=True)
class CeleryWorkers:
    """So many workers, and the Redis between them and the scheduler (a socket: no port, no password)."""

    count: int
    home: Home
    socket: Path

    def variables(self, database_url: str, store: StoreSettings) -> dict[str, str]:
        """What all of Airflow's processes get besides `airflow_server.environment`."""
        settings = {
            "CELERY__BROKER_URL": f"redis+socket://{self.socket}?virtual_host=0",
            "CELERY__RESULT_BACKEND": f"db+{database_url}",
            "CELERY__WORKER_CONCURRENCY": str(CONCURRENCY),
            # What a dead worker had taken and not begun is another's after 30 s, looked at every ten. Safe however long
            # a task runs: Airflow refuses to start what runs already or has ended.
            "CELERY_BROKER_TRANSPORT_OPTIONS__UNACKED_RESTORE_THROTTLE": "1",
            "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "30",
            "CORE__EXECUTOR": "CeleryExecutor",
            "CORE__PARALLELISM": str(CONCURRENCY * self.count),
            "LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{LOGS_BUCKET}/task-logs",
            "LOGGING__REMOTE_LOGGING": "True",
            "LOGGING__REMOTE_LOG_CONN_ID": "minio_default",
            # What a worker was just being handed when it died is nowhere in Redis: the scheduler sends it again. It is
            # also how long a message's token is good, so it is more than the 30 s above.
            "SCHEDULER__TASK_QUEUED_TIMEOUT": "90",
            "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
        }
        place = {"endpoint_url": store.endpoint, "region_name": store.region}
        return {f"AIRFLOW__{name}": value for name, value in settings.items()} | {
            # Without credentials, which the UI would show: boto takes them from the AWS_* variables.
            "AIRFLOW_CONN_MINIO_DEFAULT": json.dumps({"conn_type": "aws", "extra": place}),
            "AWS_ACCESS_KEY_ID": store.access_key,
            "AWS_SECRET_ACCESS_KEY": store.secret_key.get_secret_value(),
        }

    def steps(self, environment: Mapping[str, str]) -> tuple[Step, ...]:
        """Redis, and a service for every worker. `environment`: all variables of Airflow."""
        redis = RedisServer(self.home.data / "redis", self.socket, self.home.stack)
        return (
            Service("redis", redis),
            *(self._worker(f"worker-{number}", redis, environment) for number in range(1, self.count + 1)),
        )

    def _worker(self, name: str, redis: "RedisServer", environment: Mapping[str, str]) -> Service:
        # --skip-serve-logs: that server listens on every interface; the UI reads logs from the store.
        options = ("--skip-serve-logs", "--without-gossip", "--without-mingle", "--celery-hostname", name)
        server = AirflowServer(
            (*LAUNCH, *PRELOAD, "airflow", "celery", "worker", *options),
            {**environment, "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__CLIENT_NAME": name},
            self.home.data / "airflow",
            lambda _: name in redis.waiting_clients(),  # a dead one's connection is gone
        )
        return Service(name, server, after=("redis", "airflow-db", "store"))


def chosen() -> int:
    """How many workers FIELDPIPE_CELERY_WORKERS asks for; 0: none, Airflow's scheduler runs tasks itself.

    Raises ConfigurationError when something for them is missing.
    """
    text = os.environ.get(WORKERS) or "0"
    if not text.isdecimal() or int(text) > _MOST:
        raise ConfigurationError(f"{WORKERS} is {text!r}: it may be a number up to {_MOST} (0, the default: no Celery)")
    if int(text) and shutil.which("redis-server") is None:
        raise ConfigurationError(f"{WORKERS}={text} needs a Redis: apt install redis-server (or unset {WORKERS})")
    if int(text) and not any(importlib.metadata.distributions(name=_PACKAGE)):
        raise ConfigurationError(f"{WORKERS}={text} needs {_PACKAGE}: `{WORKERS}={text} make up` installs it")
    return int(text)


@dataclass(frozen=True)
class RedisServer:
    """The `redis-server` on PATH. What was queued outlives it: every change is appended to a file."""

    folder: Path
    socket: Path  # a short path: the kernel's limit is 107 bytes
    stack: str

    def prepare(self) -> None:
        """Create the folders."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    def command(self) -> Command:
        """Without a configuration file; Debian's would be for its own service."""
        listen = ("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "600")
        keep = ("--dir", str(self.folder), "--appendonly", "yes", "--save", "")
        bare = ("--set-proc-title", "no")  # a title would be written over the environment, by which leftovers are found
        return Command(("redis-server", *listen, *keep, *bare), self.folder, base_environment(self.stack))

    def ready(self, since: float) -> bool:  # noqa: ARG002
        """Whether it answers."""
        return self._clients() is not None

    def waiting_clients(self) -> set[str]:
        """Names of the clients that wait for a message now."""
        return {client["name"] for client in self._clients() or [] if client["cmd"] == "brpop"}

    def _clients(self) -> list[dict[str, str]] | None:
        import redis  # comes with Celery, which is not installed everywhere

        try:
            with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2) as connection:
                found: list[dict[str, str]] = connection.client_list()
                return found
        except redis.RedisError:
            return None
