"""Sinks in a real worker of Kafka Connect: registered, looked at, refused, restarted, removed."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from fieldpipe import errors
from fieldpipe.cameras.message import Message, encode
from scripts import connect_sinks
from tests.cameras.test_kafka_servers import consume
from tests.connect.worker import ConnectWorker
from tests.kafka_servers import Kafka
from tests.servers import Store
from tests.waiting import eventually

pytestmark = pytest.mark.kafka

BUCKET = "raw-data"


@dataclass(frozen=True)
class Outcome:
    """Of a command: its exit code and what it printed."""

    code: int
    said: str


@dataclass
class Place:
    """A worker, a broker and a store, with a topic and a prefix of this test's own."""

    worker: ConnectWorker
    kafka: Kafka
    topic: str
    prefix: str
    run: Callable[..., Outcome]

    def configuration(self, kind: str) -> dict[str, str]:
        """Of a connector that is there, though a worker that takes in a change may not know it for a moment."""
        path = f"/connectors/{self.prefix}-{kind}/config"
        found = eventually(lambda: [each for each in [self.worker.call("GET", path)] if isinstance(each, dict)], 30)
        return found[0]

    def states(self, kind: str = "image") -> list[str]:
        found = self.worker.call("GET", f"/connectors/{self.prefix}-{kind}/status")
        return [found["connector"]["state"], *(task["state"] for task in found["tasks"])]

    def send(self, value: bytes | None, topic: str | None = None) -> None:
        with closing(KafkaProducer(bootstrap_servers=self.kafka.address)) as producer:
            producer.send(topic or self.topic, value, key=b"key").get(timeout=20)


@pytest.fixture
def place(
    connect_worker: ConnectWorker,
    apache_kafka: Kafka,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Place]:
    name = uuid4().hex[:8]
    topic = apache_kafka.create_topic(f"cam-{name}")
    variables = {"CONNECT_URL": connect_worker.url, "KAFKA_BROKERS": apache_kafka.address, "CAMERA_BUCKET": BUCKET}
    for variable, value in (store.environment | variables | {"CAMERA_TOPICS": topic}).items():
        monkeypatch.setenv(variable, value)

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["connect_sinks", *arguments, f"--prefix={name}"])
        with pytest.raises(SystemExit) as ended:
            errors.run(connect_sinks.main)
        said = capfd.readouterr()
        return Outcome(int(str(ended.value.code)), said.out + said.err)

    yield Place(connect_worker, apache_kafka, topic, name, run)
    if connect_worker.process.exit_code() is not None:
        connect_worker.start()
    for kind in ("image", "timestamp"):
        connect_worker.call("DELETE", f"/connectors/{name}-{kind}")


def test_sinks_are_registered_once_and_run(place: Place) -> None:
    first = place.run("register")
    again = place.run("register")

    assert (first.code, again.code) == (0, 0), first.said + again.said
    for kind in ("image", "timestamp"):
        assert f"connector {place.prefix}-{kind}: created" in first.said
        assert f"connector {place.prefix}-{kind}: unchanged" in again.said
        assert place.states(kind) == ["RUNNING", "RUNNING"]
    assert place.run("status").code == 0


def test_the_worker_keeps_what_it_would_have_from_the_original(place: Place, tmp_path: Path) -> None:
    """The request of setup-sink-minio.sh, as it is sent, against ours: the same connector, but for the keys."""
    assert place.run("register").code == 0
    for kind in ("image", "timestamp"):
        ours = place.configuration(kind)
        theirs = {**ours, "tasks.max": 1, "name": f"{place.prefix}-theirs-{kind}"}  # a number, as the original has it

        made = place.worker.call("POST", "/connectors", {"name": theirs["name"], "config": theirs})
        place.worker.call("DELETE", f"/connectors/{theirs['name']}")

        assert made["config"] == {**ours, "name": theirs["name"]}


def test_the_keys_stay_with_the_worker(place: Place) -> None:
    place.run("register")

    everything = json.dumps(place.worker.call("GET", "/connectors?expand=info&expand=status"))
    assert "${env:MINIO_SECRET_KEY}" in everything
    assert "secret-of-the-worker" not in everything


def test_another_region_is_an_update(place: Place) -> None:
    place.run("register", "--no-timestamps")

    done = place.run("register", "--no-timestamps", "-R", "ap-northeast-1")

    assert f"connector {place.prefix}-image: updated" in done.said
    assert place.configuration("image")["s3.region"] == "ap-northeast-1"


def test_a_connector_of_somebody_else_is_left_as_it_is(place: Place) -> None:
    place.run("register")
    before = place.configuration("image")
    other = place.kafka.create_topic(f"{place.topic}-other")

    registered, removed = place.run("register", "-t", other), place.run("remove", "-t", other)

    assert (registered.code, removed.code) == (65, 65)
    assert f"topics is {place.topic}, not {other}" in registered.said
    assert f"topics is {place.topic}, not {other}" in removed.said
    assert place.configuration("image") == before


def test_sinks_that_are_ours_are_removed(place: Place) -> None:
    place.run("register")

    removed, again, status = place.run("remove"), place.run("remove"), place.run("status")

    assert [removed.code, again.code, status.code] == [0, 0, 1]
    assert removed.said.count("removed") == 2
    assert again.said.count("there was none") == 2
    assert status.said.count("not registered") == 2


def test_a_failed_task_is_told_and_restarted(
    place: Place, store_factory: Callable[[Path], Store], tmp_path: Path
) -> None:
    theirs = store_factory(tmp_path)
    theirs.stop()

    registered = place.run("register", "--no-timestamps", "-u", theirs.settings.endpoint)
    failed = place.run("status", "--no-timestamps")
    theirs.start()
    restarted = place.run("restart", "--no-timestamps")

    assert (registered.code, failed.code, restarted.code) == (65, 1, 0), restarted.said
    assert "task 0: java.net.ConnectException: Connection refused" in registered.said
    assert "FAILED" in failed.said
    assert place.states() == ["RUNNING", "RUNNING"]


def test_one_bad_message_stops_the_sink_of_the_original(place: Place) -> None:
    assert place.run("register", "--no-timestamps").code == 0

    place.send(b"no message")

    eventually(lambda: place.states() == ["RUNNING", "FAILED"], 20, place.states)
    assert "DataException: Invalid message" in place.run("status", "--no-timestamps").said


def test_with_a_dead_letter_topic_bad_messages_and_tombstones_do_not_stop_it(place: Place) -> None:
    dead = f"{place.topic}-dead"
    assert place.run("register", "--no-timestamps", "--dead-letter-topic", dead).code == 0

    for value in (b"no message", None, encode(Message(1_700_000_000_123_456, b"\xff\xd8"))):
        place.send(value)

    group = f"connect-{place.prefix}-image"
    eventually(lambda: committed(place, group) == 3, 20, lambda: (place.states(), committed(place, group)))
    assert place.states() == ["RUNNING", "RUNNING"]
    assert consume(place.kafka.address, dead, 1) == [b"no message"]


def test_everything_is_looked_at_before_anything_is_registered(place: Place) -> None:
    place.send(bytes.fromhex("df0300000007") + bytes(60))

    done = place.run("register", "-b", "missing-bucket", "-t", f"{place.topic},missing", "-A", "${env:NOBODYS}")

    assert done.code == 65
    for line in (
        "ok       plug-in SinetStreamConverter",
        "wrong    bucket missing-bucket does not exist",
        "wrong    topic missing: there is none",
        f"wrong    topic {place.topic}, partition 0, offset 0 is encrypted",
        f"wrong    {place.prefix}-image: the worker cannot look up ${{env:NOBODYS}}",
    ):
        assert line in done.said
    assert place.worker.call("GET", f"/connectors/{place.prefix}-image") == 404


def test_a_provider_that_fails_is_told_before_a_sink_does(place: Place) -> None:
    done = place.run("check", "--no-timestamps", "-A", "${file:/nowhere:access}")

    assert done.code == 65
    assert "Could not read properties from file /nowhere" in done.said


@pytest.mark.fault
def test_a_worker_that_is_down_is_a_reason_to_try_again(place: Place) -> None:
    place.run("register", "--no-timestamps")
    place.worker.kill()

    down = place.run("status", "--no-timestamps", "--wait", "0")
    place.worker.start()
    eventually(lambda: place.states() == ["RUNNING", "RUNNING"], 20, place.states)

    assert down.code == 75
    assert place.worker.url in down.said
    assert place.run("register", "--no-timestamps").said.count("unchanged") == 1


def committed(place: Place, group: str) -> int | None:
    with closing(KafkaConsumer(bootstrap_servers=place.kafka.address, group_id=group)) as consumer:
        offset: int | None = consumer.committed(TopicPartition(place.topic, 0))
        return offset
