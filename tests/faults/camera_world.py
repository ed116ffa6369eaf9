"""Cameras as a fault test needs them: a topic, a bucket, records that are remembered, and backups as processes."""

import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from kafka import KafkaProducer
from kafka.future import Future

from fieldpipe.cameras.message import Message, encode
from fieldpipe.crashpoints import VARIABLE
from fieldpipe.local import process
from fieldpipe.local.process import Child, Command
from tests.faults.camera_check import Content, Life, Sent, check
from tests.faults.harness import tails
from tests.kafka_servers import Kafka
from tests.servers import Store
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
RUN_SECONDS = 120.0  # for what should take a few
BUCKET = "camera-faults"  # one for all tests: SeaweedFS has room for a few dozen buckets
KEPT = {"retention.ms": "-1"}  # the records are from 2023
TOGETHER = 64 * 1024 * 1024  # bytes on their way to Kafka
BEGIN = 1_700_000_000_000  # record time of the first record, milliseconds since 1970


@dataclass(frozen=True)
class Record:
    """A record that is to be sent. `message`: what a backup will see in it; None: nothing that it can use."""

    value: bytes | None
    message: Message | None = None
    key: bytes | None = None


TOMBSTONE = Record(None, key=b"a key")  # Kafka takes none without a key


class CameraWorld:
    """A topic of the test's own in servers that others use too; its name is in the keys of all its objects."""

    def __init__(
        self,
        folder: Path,
        mark: str,
        store: Store,
        kafka: Kafka,
        *,
        partitions: int = 1,
        config: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.store = store.client
        self.kafka = kafka
        self.partitions = partitions
        self.topic = kafka.create_topic(f"camera-{uuid4().hex[:8]}", partitions, KEPT | dict(config or {}))
        self.lives = [Life(self.topic, partition) for partition in range(partitions)]
        self.store.ensure_bucket(BUCKET)
        self.bucket = BUCKET
        self._environment = process.base_environment(mark) | {**store.environment, "CAMERA_TOPICS": self.topic}
        self._started: list[Child] = []

    # Kafka

    def send(self, records: Iterable[Record], partition: int = 0) -> None:
        """Send records, a second apart by Kafka's time, and remember them."""
        with closing(self.producer()) as producer:
            self.send_with(producer, records, partition)

    def send_with(self, producer: KafkaProducer, records: Iterable[Record], partition: int = 0) -> None:
        """The same, with a producer of the test's own."""
        life = self.life(partition)
        waiting: list[tuple[Sent, Future]] = []
        size = 0
        for number, record in enumerate(records, start=len(life.records)):
            time = BEGIN + number * 1000
            future = producer.send(self.topic, record.value, record.key, partition=partition, timestamp_ms=time)
            waiting.append((remembered(record, time), future))
            size += len(record.value or b"")
            if size > TOGETHER:
                producer.flush(timeout=60)
                size = 0
        producer.flush(timeout=60)
        for sent, future in waiting:
            life.add(replace(sent, offset=future.get(timeout=1).offset))

    def producer(self, **options: object) -> KafkaProducer:
        """A producer that is told when Kafka has stored something."""
        defaults = {"acks": "all", "max_request_size": 16_000_000, "linger_ms": 5, "retries": 5}
        return KafkaProducer(bootstrap_servers=self.kafka.address, **(defaults | options))

    def life(self, partition: int = 0) -> Life:
        """The newest life of a partition."""
        return [life for life in self.lives if life.partition == partition][-1]

    def await_objects(self, prefix: str = "topics/") -> None:
        """Wait until a backup has written something."""
        eventually(lambda: self.keys(prefix), RUN_SECONDS, self.logs)

    def keys(self, prefix: str = "") -> list[str]:
        """What is in the bucket of the topic; `prefix` may be a folder, or the beginning of some."""
        below = f"{prefix}{self.topic}/" if prefix.endswith("/") else prefix  # others have thousands there
        return [info.key for info in self.store.list(self.bucket, below) if f"/{self.topic}/" in info.key]

    def await_manifests(self, count: int) -> None:
        """Wait until a backup has committed so many batches."""
        eventually(lambda: len(self.keys("_manifests/")) >= count, RUN_SECONDS, self.logs)

    def recreate_topic(self) -> None:
        """Delete the topic and make it again: everybody's offsets begin anew."""
        self.kafka.delete_topic(self.topic)
        self.kafka.create_topic(self.topic, self.partitions, KEPT)
        epoch = self.lives[-1].epoch + 1
        self.lives += [Life(self.topic, partition, epoch) for partition in range(self.partitions)]

    # backups

    def start(self, *arguments: str, crash_at: str = "", variables: Mapping[str, str] | None = None) -> Child:
        """Start a backup; its output is in backup-<number>.log."""
        own = {"KAFKA_BROKERS": self.kafka.address, "CAMERA_BUCKET": self.bucket, VARIABLE: crash_at}
        environment = self._environment | own | dict(variables or {})
        command = Command((sys.executable, "-m", "scripts.backup_camera", *arguments), ROOT, environment)
        self._started.append(Child(command, self.folder / f"backup-{len(self._started)}.log"))
        return self._started[-1]

    def run(self, *arguments: str, crash_at: str = "") -> int | None:
        """Run a backup to its end; returns its exit code."""
        return self.start(*arguments, crash_at=crash_at).wait(RUN_SECONDS)

    # ends

    def check(self) -> None:
        """Hold the bucket against what was sent."""
        check(self.store, self.bucket, self.lives)

    def logs(self) -> str:
        """The ends of all logs."""
        return tails(self.folder)

    def stop(self) -> None:
        """End everything that was started."""
        for child in self._started:
            child.kill()


def frames(count: int, size: int = 200, *, time: int = 0, version: int = 3) -> Iterable[Record]:
    """Frames that differ. `time`: of the first, in microseconds since 1970, the others follow; 0: they have none."""
    for number in range(count):
        payload = b"\xff\xd8" + number.to_bytes(8, "big") + bytes(size - 12) + b"\xff\xd9"
        message = Message(time + number * 40_001 if time else 0, payload)
        yield Record(encode(message, version=3 if version == 3 else 2), message)


def remembered(record: Record, time: int) -> Sent:
    """A record without its bytes, and before it has an offset."""
    value = None if record.value is None else Content.of(record.value)
    if record.message is None:
        return Sent(-1, time, value)
    return Sent(-1, time, value, Content.of(record.message.payload), record.message.time, record.message.sealed)
