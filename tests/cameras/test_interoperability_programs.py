"""Our programs beside SINETStream 1.10: the backup stores what it has written, it reads what the sensor has sent."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from fieldpipe.cameras.manifests import MANIFESTS, Manifest
from fieldpipe.cameras.message import unpacked
from tests.cameras.sensors import Sensor, jpegs
from tests.cameras.test_interoperability import FORMS, PASSWORD, TIMES, Form, messages
from tests.faults.camera_world import CameraWorld
from tests.kafka_servers import Kafka
from tests.servers import Store
from tests.sinetstream.original import Original, Parameters, original

pytestmark = pytest.mark.fault

KEY = b"sixteen bytes ok"
TIME_TEXTS = [b"2023-11-14T22:13:20.123", b"2023-11-14T22:13:20.999"]
SENT = ["image", "image in version 2", "text", "zlib", "zstd", "GCM by key", "EAX by password"]

GCM = {"SS_DATA_ENCRYPTION": "true", "SS_CRYPTO__ALGORITHM": "AES", "SS_CRYPTO__MODE": "GCM"}
EAX = GCM | {"SS_CRYPTO__MODE": "EAX"}


@pytest.fixture(scope="module")
def theirs(tansu: Kafka) -> Iterator[Original]:
    """SINETStream, connected to the broker."""
    with original(tansu.address) as running:
        yield running


def test_the_backup_stores_what_sinetstream_has_written(
    tmp_path: Path, mark: str, store: Store, tansu: Kafka, theirs: Original
) -> None:
    world = CameraWorld(tmp_path, mark, store, tansu)
    forms = [FORMS[name] for name in SENT]
    for form in forms:
        theirs.write(world.topic, messages(form), form.theirs)
    secrets = {"CAMERA_KEYS": f"7={b64encode(KEY).decode()}", "CAMERA_PASSWORD": PASSWORD}

    assert world.start(variables=secrets).wait(60) == 0, world.logs()

    (key,) = world.keys(f"{MANIFESTS}/")
    frames = Manifest.from_json(content(world, key)).frames
    sent = [payload for form in forms for payload, _ in messages(form)]
    assert [unpacked(content(world, frame.image)) for frame in frames] == sent
    assert [frame.time for frame in frames] == list(TIMES) * len(forms)
    assert [content(world, frame.timestamp or "") for frame in frames] == TIME_TEXTS * len(forms)
    assert sorted(world.keys("topics/")) == sorted(each for f in frames for each in (f.image, f.timestamp))


def test_without_keys_the_backup_stores_encrypted_messages_as_they_are(
    tmp_path: Path, mark: str, store: Store, tansu: Kafka, theirs: Original
) -> None:
    world = CameraWorld(tmp_path, mark, store, tansu)
    form: Form = FORMS["GCM by key"]
    theirs.write(world.topic, messages(form), form.theirs)

    assert world.run() == 0, world.logs()

    first, second = world.keys("topics/")
    assert first.endswith("+0000000000.sealed")
    assert second.endswith("+0000000001.sealed")
    assert content(world, first).startswith(b"\xdf\x03\x00\x00\x00\x07")


@pytest.mark.parametrize(
    ("ours", "parameters"),
    [
        ({}, {}),
        ({"SS_MESSAGE_FORMAT": "2"}, {"message_format": 2}),
        ({"SS_DATA_COMPRESSION": "true"}, FORMS["zlib"].theirs),
        ({"SS_DATA_COMPRESSION": "true", "SS_COMPRESSION__ALGORITHM": "zstd"}, FORMS["zstd"].theirs),
        (GCM | {"SS_CRYPTO__PASSWORD": PASSWORD}, FORMS["GCM by password"].theirs),
        (EAX | {"SS_CRYPTO__PASSWORD": PASSWORD}, FORMS["EAX by password"].theirs),
    ],
    ids=["as it comes", "version 2", "zlib", "zstd", "GCM", "EAX"],
)
def test_sinetstream_reads_what_the_sensor_has_sent(
    ours: dict[str, str], parameters: Parameters, tmp_path: Path, mark: str, tansu: Kafka, theirs: Original
) -> None:
    sensor = Sensor(tmp_path, tansu.address, tansu.create_topic(f"camera-{uuid4().hex[:8]}"), mark)
    pictures = jpegs(2)
    sensor.show(*pictures)

    assert sensor.run("--frames", "2", **ours) == 0, sensor.log

    assert [payload for payload, _ in theirs.read(sensor.topic, 2, parameters)] == pictures


def content(world: CameraWorld, key: str) -> bytes:
    return world.store.get(world.bucket, key, limit=1_000_000)[0]
