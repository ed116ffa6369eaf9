"""The embedded stack with cameras and without: what is started, and who is told where Kafka is."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from fieldpipe.errors import ConfigurationError
from fieldpipe.local.cameras import CAMERAS, Cameras, SimulatedCamera, chosen, sent
from fieldpipe.local.home import Home
from fieldpipe.local.kafka import TansuServer
from fieldpipe.local.process import Command
from fieldpipe.local.services import Stack, compose
from fieldpipe.local.steps import Service
from fieldpipe.settings import CameraSettings, KafkaSettings, StoreSettings

TOLD = {"KAFKA_BROKERS", "CAMERA_TOPICS", "CAMERA_BUCKET", "CAMERA_SCHEDULE"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home", Path(__file__).resolve().parents[3])
    made.prepare()
    return made


def _command(stack: Stack, name: str) -> Command:
    return next(s.server.command() for s in stack.steps if s.name == name and isinstance(s, Service))


def _pods_configuration(home: Home) -> dict[str, str]:
    sources = json.loads((home.config / "pods.json").read_text())
    return dict(sources["configmaps"]["pipeline-config"])


@pytest.mark.parametrize("text", [None, "", "0"])
def test_without_cameras_nothing_is_started_or_told(
    text: str | None, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CAMERAS, raising=False)
    if text is not None:
        monkeypatch.setenv(CAMERAS, text)

    stack = compose(home)

    assert not {step.name for step in stack.steps} & {"kafka", "camera-topic", "camera"}
    assert not TOLD & {*stack.environment, *_pods_configuration(home), *_command(stack, "scheduler").environment}
    assert "kafka" not in json.loads((home.config / "ports.json").read_text())


def test_with_cameras_all_who_ask_are_told_the_same(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAMERAS, "1")

    stack = compose(home)

    told = {name: stack.environment[name] for name in TOLD}
    places: list[Mapping[str, str]] = [_pods_configuration(home)]
    places += [_command(stack, name).environment for name in ("scheduler", "dag-processor", "event-sync", "dispatcher")]
    assert [{name: place[name] for name in TOLD} for place in places] == [told] * len(places)
    assert _command(stack, "camera").environment["SS_BROKERS"] == told["KAFKA_BROKERS"]
    assert _command(stack, "camera").environment["SS_TOPIC"] == told["CAMERA_TOPICS"]


def test_what_our_programs_are_told_is_what_they_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    told = _cameras(home).variables()
    for name, value in told.items():
        monkeypatch.setenv(name, value)

    kafka, cameras = KafkaSettings(), CameraSettings()

    read = (kafka.brokers, cameras.topics, cameras.bucket, cameras.schedule)
    assert read == tuple(told[n] for n in ("KAFKA_BROKERS", "CAMERA_TOPICS", "CAMERA_BUCKET", "CAMERA_SCHEDULE"))


def test_the_camera_takes_what_its_user_says(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_SOURCE", "folder:/pictures")

    camera = next(step for step in _cameras(home).steps() if step.name == "camera")

    assert isinstance(camera, Service)
    assert camera.server.command().environment["CAMERA_SOURCE"] == "folder:/pictures"
    assert camera.server.command().environment["SCHEDULE"] == "every 2 seconds"


@pytest.mark.parametrize("text", ["2", "yes", "-1"])
def test_what_is_no_choice_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAMERAS, text)

    with pytest.raises(ConfigurationError, match="FIELDPIPE_CAMERAS"):
        chosen()


def test_a_camera_serves_when_a_frame_came_through_and_it_still_takes_pictures(tmp_path: Path) -> None:
    camera, status = SimulatedCamera(tmp_path, tmp_path, {}), tmp_path / "status.json"

    def ready(status_text: str | None, written: float) -> bool:
        if status_text is not None:
            status.write_text(status_text)
            os.utime(status, (written, written))
        return camera.ready(since=1000.0)

    assert not ready(None, 0)
    assert not ready('{"sent": 0}', 1001)
    assert not ready('{"sent": 5}', 999), "the one before it wrote that"
    assert ready('{"sent": 5}', 1001)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"sent": "many"}'])
def test_a_status_that_cannot_be_read_counts_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(text)

    assert sent(tmp_path) == 0


def _cameras(home: Home) -> Cameras:
    store = StoreSettings(endpoint="http://127.0.0.1:1", access_key="a", secret_key="s")  # type: ignore[arg-type]
    return Cameras(home, TansuServer(home.data / "kafka", 12345, store, home.stack))
