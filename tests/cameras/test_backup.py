"""The backup over real brokers and stores: what lies in the bucket after it, and what a second run adds."""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta, timezone
from uuid import uuid4

import pytest
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition

from fieldpipe.cameras import batches
from fieldpipe.cameras.backup import ALL, Backup, Share
from fieldpipe.cameras.frames import Options
from fieldpipe.cameras.kafka import GROUP
from fieldpipe.cameras.kafka import Kafka as Client
from fieldpipe.cameras.manifests import MANIFESTS, Manifest
from fieldpipe.cameras.message import Message, encode
from fieldpipe.errors import EXIT_PERMANENT, EXIT_TRANSIENT, ConfigurationError
from fieldpipe.settings import KafkaSettings
from fieldpipe.store import ObjectStore
from tests.kafka_servers import Kafka
from tests.servers import Store

JST = timezone(timedelta(hours=9))
NAME = "picamera"
HOUR = "year=2023/month=11/day=15/hour=07"
TIME = 1_700_000_000_123_456


@pytest.fixture
def broker(any_servers: tuple[Kafka, Store]) -> Kafka:
    """A broker, and `bucket` a bucket beside it."""
    return any_servers[0]


@pytest.fixture
def bucket(any_servers: tuple[Kafka, Store]) -> "Bucket":
    """One for all tests (SeaweedFS has room for a few dozen): topics are their own."""
    store = any_servers[1].client
    store.ensure_bucket(NAME)
    return Bucket(store, NAME)


@dataclass(frozen=True)
class Bucket:
    """What a test looks at after a backup."""

    store: ObjectStore
    name: str

    def keys(self, prefix: str) -> list[str]:
        return [info.key for info in self.store.list(self.name, prefix)]

    def content(self, key: str) -> bytes:
        return self.store.get(self.name, key, limit=10_000_000)[0]

    def manifests(self, topic: str, epoch: int = 1, partition: int = 0) -> list[Manifest]:
        keys = self.keys(f"{MANIFESTS}/{topic}/{epoch}/{partition}/")
        return [Manifest.from_json(self.content(key)) for key in keys]


def new_topic(broker: Kafka, partitions: int = 1, name: str | None = None) -> str:
    """A topic that keeps records of any age: those of these tests are from 2023."""
    return broker.create_topic(name or f"front-{uuid4().hex[:6]}", partitions, {"retention.ms": "-1"})


def send(broker: Kafka, topic: str, *values: bytes | None, partition: int = 0, time: int = TIME // 1000) -> None:
    with closing(KafkaProducer(bootstrap_servers=broker.address, max_request_size=10_000_000)) as producer:
        for value in values:
            producer.send(topic, value, key=b"k", partition=partition, timestamp_ms=time).get(10)


def frames(*payloads: bytes) -> list[bytes]:
    return [encode(Message(TIME, payload)) for payload in payloads]


def back_up(
    broker: Kafka, bucket: Bucket, topics: Sequence[str], share: Share = ALL, wanted: Options | None = None
) -> int:
    with Client(KafkaSettings(brokers=broker.address)) as kafka:
        return Backup(kafka, bucket.store, bucket.name, wanted or Options(zone=JST)).run(topics, share)


def test_frames_become_pairs_of_objects_where_the_sink_would_write_them(broker: Kafka, bucket: Bucket) -> None:
    topic = new_topic(broker, 2)
    payloads = [os.urandom(100_000), b"", os.urandom(2_000_000)]
    send(broker, topic, *frames(*payloads))
    send(broker, topic, *frames(b"other"), partition=1)

    assert back_up(broker, bucket, [topic]) == 0

    stems = {f"topics/{topic}/{HOUR}/{topic}+0+{offset:010d}": payload for offset, payload in enumerate(payloads)}
    stems[f"topics/{topic}/{HOUR}/{topic}+1+0000000000"] = b"other"
    wanted = {f"{stem}.jpg": payload for stem, payload in stems.items()}
    wanted |= {f"{stem}-timestamp.txt": b"2023-11-14T22:13:20.123" for stem in stems}
    assert {key: bucket.content(key) for key in bucket.keys(f"topics/{topic}/")} == wanted


def test_a_second_run_goes_on_where_the_first_one_ended(broker: Kafka, bucket: Bucket) -> None:
    topic = new_topic(broker)
    send(broker, topic, *frames(b"0", b"1"))
    assert back_up(broker, bucket, [topic]) == 0
    assert back_up(broker, bucket, [topic]) == 0
    send(broker, topic, *frames(b"2"))
    assert back_up(broker, bucket, [topic]) == 0

    assert [(each.first, each.last) for each in bucket.manifests(topic)] == [(0, 1), (2, 2)]
    assert [bucket.content(frame.image) for each in bucket.manifests(topic) for frame in each.frames] == [
        b"0",
        b"1",
        b"2",
    ]


def test_the_bucket_decides_where_to_go_on_and_not_the_group(broker: Kafka, bucket: Bucket) -> None:
    topic = new_topic(broker)
    send(broker, topic, *frames(b"0", b"1", b"2"))
    with Client(KafkaSettings(brokers=broker.address)) as kafka:
        kafka.commit(topic, 0, 2)

    assert back_up(broker, bucket, [topic]) == 0

    assert [(each.first, each.last) for each in bucket.manifests(topic)] == [(0, 2)]


def test_the_group_shows_people_how_far_the_backup_is(broker: Kafka, bucket: Bucket) -> None:
    topic = new_topic(broker)
    send(broker, topic, *frames(b"0", b"1", b"2"))

    assert back_up(broker, bucket, [topic]) == 0

    with Client(KafkaSettings(brokers=broker.address)) as kafka:
        committed = kafka._admin.list_group_offsets({GROUP: [TopicPartition(topic, 0)]})
    found: OffsetAndMetadata = committed[GROUP][TopicPartition(topic, 0)]
    assert found.offset == 3


def test_long_backlogs_are_cut_into_batches_that_adjoin(
    broker: Kafka, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_RECORDS", 7)
    topic = new_topic(broker)
    send(broker, topic, *frames(*(f"{number}".encode() for number in range(40))))

    assert back_up(broker, bucket, [topic]) == 0

    ranges = [(each.first, each.last) for each in bucket.manifests(topic)]
    assert ranges == [(first, min(first + 6, 39)) for first in range(0, 40, 7)]
    found = [frame for each in bucket.manifests(topic) for frame in each.frames]
    assert [bucket.content(frame.image) for frame in found] == [f"{number}".encode() for number in range(40)]


def test_what_is_no_frame_is_kept_aside_and_everything_behind_it_goes_on(broker: Kafka, bucket: Bucket) -> None:
    topic = new_topic(broker)
    send(broker, topic, *frames(b"0"), None, b"no message", *frames(b"3"))

    assert back_up(broker, bucket, [topic]) == EXIT_PERMANENT
    assert back_up(broker, bucket, [topic]) == 0

    (manifest,) = bucket.manifests(topic)
    assert [frame.offset for frame in manifest.frames] == [0, 3]
    assert [record.offset for record in manifest.dead] == [1, 2]
    folder = f"_dead/{topic}/1/0"
    assert bucket.keys(f"_dead/{topic}/") == [
        f"{folder}/00000000000000000001.json",
        f"{folder}/00000000000000000002.bin",
        f"{folder}/00000000000000000002.json",
    ]
    assert bucket.content(f"{folder}/00000000000000000002.bin") == b"no message"


def test_a_topic_that_was_made_again_begins_a_new_epoch(broker: Kafka, bucket: Bucket) -> None:
    topic = new_topic(broker)
    send(broker, topic, *frames(b"old 0", b"old 1"))
    assert back_up(broker, bucket, [topic]) == 0
    broker.delete_topic(topic)
    new_topic(broker, name=topic)
    send(broker, topic, *frames(b"new 0"))

    assert back_up(broker, bucket, [topic]) == 0

    assert bucket.content(f"topics/{topic}/{HOUR}/{topic}+0+0000000000.jpg") == b"old 0"
    assert bucket.content(f"topics-2/{topic}/{HOUR}/{topic}+0+0000000000.jpg") == b"new 0"
    assert [(each.first, each.last) for each in bucket.manifests(topic, epoch=2)] == [(0, 0)]


def test_shares_together_back_up_every_partition_once(broker: Kafka, bucket: Bucket) -> None:
    topic = new_topic(broker, 4)
    for partition in range(4):
        send(broker, topic, *frames(b"x"), partition=partition)

    for part in (1, 2, 3):
        assert back_up(broker, bucket, [topic], Share(part, 3)) == 0

    assert [len(bucket.manifests(topic, partition=partition)) for partition in range(4)] == [1, 1, 1, 1]


def test_a_topic_that_does_not_exist_does_not_stop_the_others(broker: Kafka, bucket: Bucket) -> None:
    topic = new_topic(broker)
    send(broker, topic, *frames(b"0"))

    assert back_up(broker, bucket, [f"none-{uuid4().hex[:6]}", topic]) == EXIT_TRANSIENT

    assert len(bucket.manifests(topic)) == 1


def test_without_brokers_the_message_names_the_variable() -> None:
    with pytest.raises(ConfigurationError, match="KAFKA_BROKERS"):
        Client(KafkaSettings())


@pytest.mark.kafka
def test_a_log_that_ends_before_what_is_backed_up_is_no_silence(apache_kafka: Kafka, bucket: Bucket) -> None:
    topic = new_topic(apache_kafka)
    send(apache_kafka, topic, *frames(b"0"))
    assert back_up(apache_kafka, bucket, [topic]) == 0
    (manifest,) = bucket.manifests(topic)
    later = Manifest(manifest.stream, 1, 99)
    bucket.store.create(bucket.name, later.key, later.to_json())

    assert back_up(apache_kafka, bucket, [topic]) == EXIT_PERMANENT
