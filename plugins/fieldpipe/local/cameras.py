"""Cameras in the embedded stack: a Kafka, a simulated camera that sends to it, and what leads our programs to both."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fieldpipe.errors import ConfigurationError
from fieldpipe.local.home import Home
from fieldpipe.local.kafka import TansuServer, TopicCreation
from fieldpipe.local.process import Command, base_environment
from fieldpipe.local.steps import Job, Service, Step

CAMERAS = "FIELDPIPE_CAMERAS"
TOPIC = "image-sinetstream-picamera"
CAMERA_BUCKET = "picamera"
SERVICE = "camera"
BACKUP_SCHEDULE = "* * * * *"  # every minute: a person waits for it

_USERS = ("CAMERA_SOURCE", "SCHEDULE", "PICAMERA2_SIZE")  # of the simulated camera, which a person may set
_SIMULATED = {"CAMERA_SOURCE": "pattern", "SCHEDULE": "every 2 seconds", "PICAMERA2_SIZE": "640x480"}


@dataclass(frozen=True)
class Cameras:
    """The camera's topic in a broker."""

    home: Home
    kafka: TansuServer

    def variables(self) -> dict[str, str]:
        """What our programs, Airflow's DAG files and the pods get."""
        return {
            "KAFKA_BROKERS": self.kafka.address,
            "CAMERA_TOPICS": TOPIC,
            "CAMERA_BUCKET": CAMERA_BUCKET,
            "CAMERA_SCHEDULE": BACKUP_SCHEDULE,
        }

    def steps(self) -> tuple[Step, ...]:
        """Kafka, the topic, the camera."""
        return (
            Service("kafka", self.kafka, after=("store",), address=self.kafka.address),
            Job("camera-topic", TopicCreation(self.kafka, TOPIC), after=("kafka",)),
            Service(SERVICE, self._camera(), after=("camera-topic",)),
        )

    def _camera(self) -> "SimulatedCamera":
        chosen = _SIMULATED | {name: os.environ[name] for name in _USERS if os.environ.get(name)}
        stream = {"SS_BROKERS": self.kafka.address, "SS_TOPIC": TOPIC, "SS_TYPE": "kafka"}
        variables = base_environment(self.home.stack) | stream | chosen
        return SimulatedCamera(spool(self.home), self.home.project, variables)


@dataclass(frozen=True)
class SimulatedCamera:
    """The program of the real sensor with a source of its own. Its spool survives it, as on a Pi."""

    spool: Path
    project: Path
    variables: Mapping[str, str]

    def prepare(self) -> None:
        """Create the spool."""
        self.spool.mkdir(parents=True, exist_ok=True)

    def command(self) -> Command:
        arguments = (sys.executable, "-m", "scripts.capture_camera")
        return Command(arguments, self.project, {**self.variables, "CAMERA_SPOOL": str(self.spool)})

    def ready(self, since: float) -> bool:
        """Whether the process that was started at that time takes pictures, and one has come through."""
        file = self.spool / "status.json"
        return file.exists() and file.stat().st_mtime >= since and sent(self.spool) > 0


def chosen() -> bool:
    """Whether FIELDPIPE_CAMERAS asks for cameras. Raises ConfigurationError."""
    text = os.environ.get(CAMERAS) or "0"
    if text not in ("0", "1"):
        raise ConfigurationError(f"{CAMERAS} is {text!r}: it may be 1 (a Kafka and a simulated camera) or 0 (none)")
    return text == "1"


def spool(home: Home) -> Path:
    """The folder of the simulated camera."""
    return home.data / "camera"


def sent(spool: Path) -> int:
    """How many frames the camera has sent, all its processes together, as it says itself."""
    try:
        return int(json.loads((spool / "status.json").read_bytes())["sent"])
    except (OSError, ValueError, KeyError):
        return 0
