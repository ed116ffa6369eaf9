"""The handlers that come with Fieldpipe, loaded from where users find them."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from fieldpipe.broker.handlers import Handler, Reply
from fieldpipe.broker.handlers.loading import load
from fieldpipe.broker.reading import Reading
from tests.unit.broker.readings import START, reading

FOLDER = Path(__file__).parents[3] / "edge/handlers"
SIZE = (4, 3)
PICTURE = Image.linear_gradient("L").resize(SIZE).convert("RGB")
RGB24 = PICTURE.tobytes()


@pytest.fixture(scope="module")
def handlers() -> Mapping[str, Handler]:
    return load(FOLDER)


def on(handler: Handler, asked: Reading) -> Reply | None:
    return asyncio.run(handler.on(asked))


def frame(number: int = 0, payload: bytes = RGB24, **metadata: object) -> Reading:
    named = {"format": "image/jpeg", "camera_name": "front", "width": SIZE[0], "height": SIZE[1], **metadata}
    text = json.dumps({name: value for name, value in named.items() if value is not None})
    return reading(number, payload, collector="camera", content_type="application/octet-stream", metadata=text)


def test_they_are_short_and_all_are_loaded(handlers: Mapping[str, Handler]) -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in FOLDER.glob("*.py")}

    assert set(lengths) == {"simple.py", "heartbeat.py", "camera.py"}
    assert max(lengths.values()) <= 30
    assert list(handlers) == ["camera.CameraBroker", "heartbeat.HeartbeatBroker", "simple.SimpleBroker"]


@pytest.mark.parametrize(
    ("asked", "payload", "kind", "more"),
    [
        (reading(), b"\x00", "simple", {}),
        (reading(metadata='{"x-site": 7, "site": 8, "X-a": 9}'), b"\x00", "simple", {"x-site": 7}),
        (
            reading(collector="bjig", metadata='{"bjig": "data"}'),
            b'{"action": "test", "command": "status"}',
            "bjig",
            {},
        ),
        (reading(metadata='{"bjig": "data"}'), b"\x00", "bjig", {}),
        (reading(collector="tcp", payload=b"\x00\x0f356307042441013"), b"\x01", "tcp", {}),
        (reading(collector="tcp", payload=b"\x00\x0e356307042441013"), b"\x00", "simple", {}),
        (reading(collector="tcp", payload=b"\x00\x00"), b"\x00", "simple", {}),
    ],
)
def test_simple(
    handlers: Mapping[str, Handler], asked: Reading, payload: bytes, kind: str, more: Mapping[str, object]
) -> None:
    metadata = {"response_type": kind, "source_broker": "SimpleBroker", **more}

    assert on(handlers["simple.SimpleBroker"], asked) == Reply(payload, "text/plain", metadata)


@pytest.mark.parametrize(("metadata", "keys"), [({}, {}), ({"b": 1, "a": 2}, {"request_metadata_keys": ["b", "a"]})])
def test_heartbeat(handlers: Mapping[str, Handler], metadata: Mapping[str, object], keys: Mapping[str, object]) -> None:
    before = datetime.now(UTC)
    reply = on(handlers["heartbeat.HeartbeatBroker"], reading(metadata=json.dumps(metadata)))

    assert reply is not None
    said = json.loads(reply.payload)
    assert before <= datetime.fromisoformat(said.pop("timestamp")) <= datetime.now(UTC)
    assert said == {"status": "alive", "metadata": metadata}
    named = {"response_type": "heartbeat", "source_broker": "HeartbeatBroker", **keys}
    assert (reply.content_type, reply.metadata, reply.collector) == ("application/json", named, None)


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the camera's handler saves pictures."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "images"


@pytest.mark.parametrize("extra", [b"", b"more than it says"])
def test_a_frame_is_saved_as_jpeg(handlers: Mapping[str, Handler], images: Path, extra: bytes) -> None:
    asked = frame(payload=RGB24 + extra)

    reply = on(handlers["camera.CameraBroker"], asked)

    name = f"images/{START // 10**9}-{asked.id}.jpg"
    metadata = {"response_type": "simple", "saved_image": name, "source_broker": "CameraBroker"}
    assert reply == Reply(b"\x00", "text/plain", metadata)
    saved = Image.open(images.parent / name)
    assert (saved.format, saved.size) == ("JPEG", SIZE)
    difference = ImageChops.difference(saved.convert("RGB"), PICTURE).getextrema()
    assert max(high for _, high in difference) < 8
    assert saved.quantization == _quantization(85)  # type: ignore[attr-defined]


def _quantization(quality: int) -> object:
    from io import BytesIO

    written = BytesIO()
    PICTURE.save(written, "JPEG", quality=quality)
    return Image.open(written).quantization  # type: ignore[attr-defined]


def test_two_frames_of_one_second_are_two_files(handlers: Mapping[str, Handler], images: Path) -> None:
    for number in range(2):
        on(handlers["camera.CameraBroker"], frame(number))

    assert len(list(images.iterdir())) == 2


@pytest.mark.parametrize(
    "asked",
    [
        frame(payload=RGB24[:-1]),
        frame(payload=b""),
        frame(width=None),
        frame(height=None),
        frame(width="4"),
        frame(width=0),
        frame(width=-4, height=-3),
        frame(width=10**9),
        reading(),
    ],
)
def test_what_is_no_whole_frame_is_passed_by(handlers: Mapping[str, Handler], images: Path, asked: Reading) -> None:
    assert on(handlers["camera.CameraBroker"], asked) is None
    assert not images.exists()
