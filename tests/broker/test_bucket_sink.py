"""The sink bucket, over real object stores; what it writes is converted as the first flow does."""

import csv
import socket
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks import recording
from fieldpipe.broker.sinks.bucket import BucketSink, RecordingSettings, open_sink
from fieldpipe.broker.sinks.sink import SinkUnavailable
from fieldpipe.recordings.convert import convert
from fieldpipe.settings import StoreSettings
from fieldpipe.store import ObjectStore, StoreUnavailable
from tests.servers import Store
from tests.unit.broker.readings import START, reading

BUCKET = "raw-data"
MOST_BYTES = 1000  # of the payloads of one recording, here


@pytest.fixture(scope="module", params=["seaweedfs", pytest.param("minio", marks=pytest.mark.minio)])
def server(request: pytest.FixtureRequest) -> Store:
    """A store of each kind."""
    store: Store = request.getfixturevalue("store" if request.param == "seaweedfs" else "minio_store")
    return store


@pytest.fixture
def settings() -> RecordingSettings:
    """With a prefix that nobody else uses."""
    return RecordingSettings(bucket=BUCKET, bucket_prefix=f"broker-{uuid4().hex[:8]}")


class Crash(Exception):
    """The process ends here."""


class Failing:
    """A store whose n-th object from now on is written, or not, but whose answer nobody hears."""

    def __init__(self, store: ObjectStore, number: int, *, written: bool = True) -> None:
        self._store, self._left, self._written = store, number, written
        self.bucket_exists, self.get = store.bucket_exists, store.get
        self.require_conditional_writes = store.require_conditional_writes

    def create(self, bucket: str, key: str, content: bytes, *, content_type: str) -> bool:
        self._left -= 1
        if self._left == 0 and not self._written:
            raise StoreUnavailable("no connection")
        made = self._store.create(bucket, key, content, content_type=content_type)
        if self._left == 0:
            raise Crash
        return made


def failing(settings: RecordingSettings, store: ObjectStore, number: int, *, written: bool = True) -> BucketSink:
    return BucketSink(settings, Failing(store, number, written=written), MOST_BYTES)  # type: ignore[arg-type]


def written(server: Store, settings: RecordingSettings) -> dict[str, bytes]:
    """The objects by their keys."""
    found = [info.key for info in server.client.list(BUCKET, f"{settings.bucket_prefix}/")]
    return {key: server.client.get(BUCKET, key, limit=1 << 30)[0] for key in found}


def in_recordings(server: Store, settings: RecordingSettings) -> Counter[str]:
    """How many recordings each reading is in."""
    return Counter(each for content in written(server, settings).values() for each in recording.ids(content))


def once(readings: Sequence[Reading]) -> Counter[str]:
    return Counter(each.id for each in readings)


def test_readings_become_tables(server: Store, settings: RecordingSettings, tmp_path: Path) -> None:
    sink = open_sink(settings, server.settings)

    sink.deliver(
        [
            reading(1, b'{"id":"101", "name":"env-sensor", "temp":"25.6", "hum":"52.4"}'),
            reading(2, b'{"temp":25.60}', collector="mqtt", metadata='{"topic":"home/kitchen"}'),
            reading(3, b'{"temp":-0.5,"open":true}', collector="mqtt", metadata='{"topic":"home/kitchen"}'),
        ]
    )
    sink.close()

    ((key, content),) = written(server, settings).items()
    assert key == f"{settings.bucket_prefix}/2025-11-22/{START + 1_000_000}-{1:032x}.mcap"
    (tmp_path / "a.mcap").write_bytes(content)
    (tmp_path / "out").mkdir()
    kitchen, webhook = convert(tmp_path / "a.mcap", tmp_path / "out", processed_at="").outputs
    assert kitchen.name == "mqtt__home__kitchen.csv"
    with kitchen.path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first == {
        "log_time": str(START + 2_000_000),
        "publish_time": str(START + 2_000_000),
        "sequence": "0",
        "id": f"{2:032x}",
        "received": "2025-11-22T15:40:00.125456789Z",
        "collector": "mqtt",
        "device": "home/kitchen",
        "content_type": "application/json",
        "metadata.topic": "home/kitchen",
        "payload.temp": "25.6",
        "payload.open": "",
    }
    assert (second["sequence"], second["payload.temp"], second["payload.open"]) == ("1", "-0.5", "true")
    with webhook.path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert [row[f"payload.{name}"] for name in ("id", "name", "temp", "hum")] == ["101", "env-sensor", "25.6", "52.4"]


def test_a_crash_behind_the_put_leaves_each_reading_in_one_recording(
    server: Store, settings: RecordingSettings
) -> None:
    readings = [reading(number) for number in range(10)]
    with pytest.raises(Crash):
        failing(settings, server.client, 1).deliver(readings[:4])

    BucketSink(settings, server.client, MOST_BYTES).deliver(readings)  # the next process; more has come meanwhile

    assert in_recordings(server, settings) == once(readings)
    assert len(written(server, settings)) == 2


def test_a_crash_in_the_midst_of_several_recordings(server: Store, settings: RecordingSettings) -> None:
    large = [reading(number, bytes(MOST_BYTES // 2)) for number in range(5)]
    with pytest.raises(Crash):
        failing(settings, server.client, 2).deliver(large[:3])

    BucketSink(settings, server.client, MOST_BYTES).deliver(large)

    assert in_recordings(server, settings) == once(large)
    held = [len(recording.ids(content)) for content in written(server, settings).values()]
    assert held == [2, 1, 2]  # the second was full for what had come then


def test_a_put_that_failed_and_one_whose_answer_was_lost(server: Store, settings: RecordingSettings) -> None:
    readings = [reading(number) for number in range(6)]
    with pytest.raises(SinkUnavailable, match="no connection"):
        failing(settings, server.client, 1, written=False).deliver(readings)
    with pytest.raises(Crash):
        failing(settings, server.client, 1).deliver(readings)

    sink = BucketSink(settings, server.client, MOST_BYTES)
    sink.deliver(readings[:2])  # fewer at once than then
    sink.deliver(readings[2:])

    assert in_recordings(server, settings) == once(readings)


def test_one_reading_may_be_larger_than_a_recording_should_be(server: Store, settings: RecordingSettings) -> None:
    readings = [reading(1, bytes(2 * MOST_BYTES)), reading(2), reading(3)]

    BucketSink(settings, server.client, MOST_BYTES).deliver(readings)

    assert [len(recording.ids(content)) for content in written(server, settings).values()] == [1, 2]


def test_a_bucket_that_is_not_there_says_what_to_do(server: Store) -> None:
    nowhere = RecordingSettings(bucket=f"missing-{uuid4().hex[:8]}")

    with pytest.raises(SinkUnavailable, match=f"{nowhere.bucket}.*create it"):
        BucketSink(nowhere, server.client).deliver([reading()])


def test_somebody_elses_object_in_the_way_is_left_alone(server: Store, settings: RecordingSettings) -> None:
    day = f"{settings.bucket_prefix}/2025-11-22"
    keys = [f"{day}/{START + 1_000_000 * number}-{number:032x}.mcap" for number in (0, 1)]
    server.client.put(BUCKET, keys[0], b"something else")
    server.client.put(BUCKET, keys[1], recording.record([reading(7)]))
    before = written(server, settings)

    for number, key in enumerate(keys):
        with pytest.raises(SinkUnavailable, match=f"{key} is there.*move it away"):
            BucketSink(settings, server.client, MOST_BYTES).deliver([reading(number)])

    assert written(server, settings) == before


def test_a_store_that_is_down(settings: RecordingSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    nobody = StoreSettings(endpoint=f"http://127.0.0.1:{port}", access_key="a", secret_key=SecretStr("secret"))

    with pytest.raises(SinkUnavailable, match="Connection refused"):
        open_sink(settings, nobody).deliver([reading()])
