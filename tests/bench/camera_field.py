"""What the camera benchmarks run on: a broker, a store, topics full of frames, and backups as processes."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from kafka import KafkaProducer

from fieldpipe.cameras.message import Message, encode
from fieldpipe.errors import PermanentError
from fieldpipe.local import marks, process
from fieldpipe.local.process import Child, Command
from tests import kafka_programs
from tests.bench.progress import say
from tests.environments import CACHE, PROJECT
from tests.kafka_servers import Kafka, start_apache, start_tansu
from tests.memory import Peak
from tests.servers import Store, start_minio, start_seaweed

MARK = f"bench-camera-{os.getpid()}"
KEPT = {"retention.ms": "-1"}
TOGETHER = 64 * 1024 * 1024  # bytes on their way to Kafka
BEGIN = 1_700_000_000_000  # record time of the first frame, milliseconds since 1970


@dataclass(frozen=True)
class Run:
    """One backup, from the start of its process to its end. `peak`: the most resident memory, in bytes."""

    seconds: float
    peak: int


@dataclass(frozen=True)
class Field:
    """Servers of the benchmark's own."""

    kafka: Kafka
    store: Store
    folder: Path

    def describe(self) -> str:
        """Which ones they are."""
        return f"servers   {type(self.kafka.server).__name__}, {type(self.store.server).__name__}"

    def bucket(self) -> str:
        """A new, empty bucket."""
        name = f"bench-{uuid4().hex[:8]}"
        self.store.client.ensure_bucket(name)
        return name

    def topic(self) -> str:
        """A new topic with one partition."""
        return self.kafka.create_topic(f"camera-{uuid4().hex[:8]}", 1, KEPT)

    def send(self, topic: str, count: int, size: int, *, first: int = 0) -> None:
        """Frames that no compression helps with, a second apart by Kafka's time."""
        noise, sent = os.urandom(size), 0
        with closing(KafkaProducer(bootstrap_servers=self.kafka.address, max_request_size=16_000_000)) as producer:
            for number in range(first, first + count):
                message = Message((BEGIN + number * 1000) * 1000, number.to_bytes(8, "big") + noise[8:])
                producer.send(topic, encode(message), partition=0, timestamp_ms=BEGIN + number * 1000)
                sent += size
                if sent > TOGETHER:
                    producer.flush(timeout=60)
                    sent = 0
            producer.flush(timeout=60)

    def back_up(self, topic: str, bucket: str) -> Run:
        """Our backup of a topic, to its end."""
        return self.run(self.start_backup(topic, bucket))

    def start_backup(self, topic: str, bucket: str) -> Child:
        """Our backup of a topic."""
        own = {"KAFKA_BROKERS": self.kafka.address, "CAMERA_TOPICS": topic, "CAMERA_BUCKET": bucket}
        return self.start(("-m", "scripts.backup_camera"), own)

    def start(self, arguments: tuple[str, ...], variables: Mapping[str, str]) -> Child:
        """A Python process that knows the store."""
        environment = process.base_environment(MARK) | {**self.store.environment, **variables}
        return Child(Command((sys.executable, *arguments), PROJECT, environment), self.folder / "runs.log")

    def run(self, child: Child) -> Run:
        """Wait for its end. Raises PermanentError with the last lines of its log when it failed."""
        begin = time.monotonic() - (time.time() - child.started)
        peak = Peak(child.pid)
        if child.wait() != 0:
            raise PermanentError("\n".join([f"exit code {child.exit_code()}", *process.tail(child.log, 20)]))
        return Run(time.monotonic() - begin, peak.most())


@contextmanager
def field() -> Iterator[Field]:
    """Apache Kafka and MinIO where they can be had, else what the embedded stack has; ended and deleted in any case."""
    folder = CACHE / "bench" / f"camera-{os.getpid()}"
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        cleanup.callback(marks.sweep, MARK)
        found = Field(_broker(folder), _store(folder, cleanup), folder)
        say(found.describe())
        yield found


def _broker(folder: Path) -> Kafka:
    try:
        return start_apache(folder / "kafka", MARK, kafka_programs.jars())
    except kafka_programs.NotHere as missing:
        say(f"{missing}: tansu takes its place")
        return start_tansu(folder / "tansu", MARK)


def _store(folder: Path, cleanup: ExitStack) -> Store:
    if shutil.which("minio"):
        return start_minio(folder / "minio", MARK, {})
    sockets = CACHE / f"s{os.getpid()}"  # a short path, for a socket
    sockets.mkdir(parents=True)
    cleanup.callback(shutil.rmtree, sockets, ignore_errors=True)
    return start_seaweed(folder / "seaweed", sockets, MARK)
