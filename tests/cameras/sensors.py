"""The sensor as a process of its own, and what has come of it in Kafka."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaConsumer, TopicPartition

from fieldpipe.cameras.message import Message, Position, Unseal, decode
from fieldpipe.local.process import Child, Command, base_environment

PROJECT = Path(__file__).parents[2]
PAUSE_MS = 30_000
RUN_SECONDS = 60.0


class Received(NamedTuple):
    """A record of a topic: when Kafka says that it came (milliseconds since 1970), and what is in it."""

    record_time: int
    message: Message


class Sensor:
    """Starts processes that share a spool; takes the pictures of a folder, one after the other."""

    def __init__(self, folder: Path, brokers: str, topic: str, mark: str) -> None:
        self.topic = topic
        self.pictures = folder / "pictures"
        self.spool = folder / "spool"
        self._log = folder / "sensor.log"
        self._environment = base_environment(mark) | {
            "SS_BROKERS": brokers,
            "SS_TOPIC": topic,
            "CAMERA_SOURCE": f"folder:{self.pictures}",
            "CAMERA_SPOOL": str(self.spool),
            "CAMERA_SECRETS": str(folder / "no-secrets"),
            "PICAMERA_FRAMERATE": "50",
        }
        self.pictures.mkdir(parents=True)

    def show(self, *pictures: bytes) -> None:
        """What there is to be taken."""
        for number, picture in enumerate(pictures):
            (self.pictures / f"{number:03d}.jpg").write_bytes(picture)

    @contextmanager
    def running(self, *arguments: str, **more: str) -> Iterator[Child]:
        """A process, until the end of the block."""
        command = (sys.executable, "-m", "scripts.capture_camera", *arguments)
        child = Child(Command(command, PROJECT, self._environment | more), self._log)
        try:
            yield child
        finally:
            child.kill()

    def run(self, *arguments: str, **more: str) -> int | None:
        """A process from its beginning to its end; returns its exit code."""
        with self.running(*arguments, **more) as child:
            return child.wait(RUN_SECONDS)

    def waiting(self) -> list[Path]:
        """The frames that wait in the spool."""
        return sorted(self.spool.glob("*.frame"))

    @property
    def log(self) -> str:
        """What all processes have said."""
        return self._log.read_text()


def jpegs(count: int, size: int = 1000) -> list[bytes]:
    """Pictures that are all different (and nothing that could be shown)."""
    return [b"\xff\xd8%04d" % number + bytes(size) + b"\xff\xd9" for number in range(count)]


def received(brokers: str, topic: str, count: int, unseal: Unseal | None = None) -> list[Received]:
    """What a topic's only partition holds, once there is so much."""
    found: list[Received] = []
    with closing(KafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        while len(found) < count or consumer.position(partition) < (consumer.highwater(partition) or 0):
            records = consumer.poll(timeout_ms=PAUSE_MS)
            assert records, f"{len(found)} of {count} came"
            found += [
                Received(record.timestamp, decode(record.value, Position(topic, 0, record.offset), unseal))
                for record in records[partition]
            ]
    return found


def payloads(found: Sequence[Received]) -> list[bytes]:
    """The pictures."""
    return [each.message.payload for each in found]


def crash_at(point: str) -> Mapping[str, str]:
    """The variable that has a process killed there."""
    return {"FIELDPIPE_CRASH_AT": point}
