"""A real worker of Kafka Connect for tests, with stand-ins for the plug-ins that Maven Central does not have."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fieldpipe.local import ports, process
from fieldpipe.local.process import Command, StartFailed, base_environment
from tests.kafka_programs import NotHere
from tests.kafka_servers import HOST, JAVA, START_SECONDS
from tests.servers import START_ATTEMPTS, Running
from tests.waiting import eventually

STAND_IN = Path(__file__).parent / "stand_in"
SERVICES = {
    "org.apache.kafka.connect.sink.SinkConnector": ("io.confluent.connect.s3.S3SinkConnector",),
    "org.apache.kafka.connect.storage.Converter": ("jp.ad.sinet.sinetstream.connect.converters.SinetStreamConverter",),
    "org.apache.kafka.connect.transforms.Transformation": (
        "jp.ad.sinet.sinetstream.connect.transforms.ByteArrayCast$Value",
        "jp.ad.sinet.sinetstream.connect.transforms.MicrosecondTimestampConverter$Value",
    ),
}
STORAGE = ("config", "offset", "status")
BYTES = "org.apache.kafka.connect.converters.ByteArrayConverter"
PROVIDERS = "org.apache.kafka.common.config.provider"


@dataclass(frozen=True)
class WorkerServer:
    """A worker in distributed mode, alone in its group."""

    folder: Path
    port: int
    mark: str
    jars: Path
    brokers: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Of its REST API."""
        return f"http://{HOST}:{self.port}"

    def prepare(self) -> None:
        """Compile the stand-ins once; write the configuration."""
        plugin = self.folder / "plugins" / "stand-in"
        if not plugin.exists():
            compile_stand_ins(plugin, self.jars)
        lines = [f"{name}={value}\n" for name, value in self._properties().items()]
        (self.folder / "worker.properties").write_text("".join(lines))

    def command(self) -> Command:
        """One process."""
        name = "org.apache.kafka.connect.cli.ConnectDistributed"
        arguments = (*JAVA, "-cp", f"{self.jars}/*", name, str(self.folder / "worker.properties"))
        environment = base_environment(self.mark) | dict(self.environment)
        return Command(arguments, self.folder, environment, stop_seconds=20)

    def ready(self, since: float) -> bool:
        """When it says so (KIP-1017)."""
        try:
            with urlopen(f"{self.url}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _properties(self) -> dict[str, object]:
        group = f"connect-{self.port}"
        return {
            "bootstrap.servers": self.brokers,
            "group.id": group,
            "listeners": self.url,
            "rest.advertised.host.name": HOST,
            "key.converter": BYTES,
            "value.converter": BYTES,
            **{f"{name}.storage.topic": f"{group}-{name}" for name in STORAGE},
            **{f"{name}.storage.replication.factor": 1 for name in STORAGE},
            **{f"{name}.storage.partitions": 1 for name in STORAGE[1:]},
            "plugin.path": self.folder / "plugins",
            "plugin.discovery": "service_load",
            "config.providers": "env,file",
            "config.providers.env.class": f"{PROVIDERS}.EnvVarConfigProvider",
            "config.providers.file.class": f"{PROVIDERS}.FileConfigProvider",
            "session.timeout.ms": 6000,  # the least that brokers take: one that was killed is forgotten then
            "heartbeat.interval.ms": 2000,
            "scheduled.rebalance.max.delay.ms": 0,
            "offset.flush.interval.ms": 1000,
            # a task whose consumer still waits for that of a killed worker does not end by itself
            "task.shutdown.graceful.timeout.ms": 500,
        }


@dataclass
class ConnectWorker(Running[WorkerServer]):
    """A worker that runs."""

    @property
    def url(self) -> str:
        """Of its REST API."""
        return self.server.url

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A request of the test's own; what came back, or the status code when it was refused.

        A worker that is just taking in a change refuses everything, with 409 or as its own failure: it is asked again.
        """
        content = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, content, {"Content-Type": "application/json"}, method=method)

        def ask() -> tuple[Any] | None:
            try:
                with urlopen(request, timeout=30) as answer:
                    return (json.loads(answer.read() or b"null"),)
            except HTTPError as refusal:
                is_busy = refusal.code == HTTPStatus.CONFLICT or refusal.code >= HTTPStatus.INTERNAL_SERVER_ERROR
                return None if is_busy else (refusal.code,)

        return eventually(ask, START_SECONDS)[0]


def compile_stand_ins(folder: Path, jars: Path) -> None:
    """Make a plug-in of the stand-ins' sources. Raises NotHere."""
    if shutil.which("javac") is None:
        raise NotHere("no `javac` on PATH: the stand-ins for the plug-ins of Kafka Connect take a JDK")
    sources = [str(source) for source in sorted(STAND_IN.rglob("*.java"))]
    subprocess.run(["javac", "-cp", f"{jars}/*", "-d", str(folder), *sources], check=True, capture_output=True)
    services = folder / "META-INF" / "services"
    services.mkdir(parents=True)
    for interface, names in SERVICES.items():
        (services / interface).write_text("".join(f"{name}\n" for name in names))


def start_worker(folder: Path, mark: str, jars: Path, brokers: str, environment: Mapping[str, str]) -> ConnectWorker:
    """A new worker on a free port, with these variables in its environment. Raises NotHere."""
    log = folder / "connect.log"
    for attempt in range(1, START_ATTEMPTS + 1):
        chosen = ports.choose(("connect",), folder / f"ports-{attempt}.json")
        server = WorkerServer(folder, chosen["connect"], mark, jars, brokers, environment)
        try:
            return ConnectWorker(server, process.start(server, log, START_SECONDS), log)
        except StartFailed:
            if attempt == START_ATTEMPTS:
                raise
    raise AssertionError("unreachable")
