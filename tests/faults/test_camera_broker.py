"""F-K4, F-K5: what a real Kafka does to its records, and to those who read them."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import TopicPartition

from fieldpipe.cameras.backup import Backup
from fieldpipe.cameras.frames import options
from fieldpipe.cameras.kafka import Chunk
from fieldpipe.cameras.kafka import Kafka as Connection
from fieldpipe.cameras.manifests import MANIFESTS, Manifest
from fieldpipe.errors import EXIT_PERMANENT, EXIT_TRANSIENT
from fieldpipe.settings import CameraSettings, KafkaSettings
from tests.faults.camera_check import LARGEST
from tests.faults.camera_world import RUN_SECONDS, CameraWorld, Record, frames
from tests.kafka_servers import Kafka, admin
from tests.waiting import eventually

pytestmark = [pytest.mark.fault, pytest.mark.kafka]

Worlds = Callable[..., CameraWorld]


def test_a_broker_that_is_killed_costs_a_backup_at_most_one_run(
    camera_worlds: Worlds, apache_kafka_factory: Callable[[Path], Kafka], tmp_path: Path
) -> None:
    broker = apache_kafka_factory(tmp_path)
    world = camera_worlds(broker)
    world.send(frames(1500, 20_000))
    run = world.start()
    world.await_objects()
    os.kill(run.pid, signal.SIGSTOP)

    broker.kill()
    os.kill(run.pid, signal.SIGCONT)
    broker.start()

    assert run.wait(RUN_SECONDS) in (0, EXIT_TRANSIENT), world.logs()
    assert world.run() == 0, world.logs()
    world.check()


def test_only_committed_transactions_are_backed_up_and_the_others_are_holes(
    camera_worlds: Worlds, apache_kafka: Kafka
) -> None:
    world = camera_worlds(apache_kafka)
    with closing(world.producer(transactional_id=f"id-{world.topic}", retries=5)) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        world.send_with(producer, frames(5))
        producer.commit_transaction()

        producer.begin_transaction()
        for record in frames(6, 300):
            producer.send(world.topic, record.value, partition=0)
        producer.flush()
        producer.abort_transaction()
        world.life().end = end_of(world)
        assert world.run() == 0, world.logs()
        world.check()

        producer.begin_transaction()
        world.send_with(producer, frames(3))
        open_from = min(world.life().records[offset].offset for offset in sorted(world.life().records)[-3:])
        assert world.run() == 0, world.logs()
        assert not [key for key in world.keys("topics/") if key.endswith(f"{open_from:010d}.jpg")], "not committed yet"
        producer.commit_transaction()

    world.life().end = end_of(world)
    assert world.run() == 0, world.logs()
    world.check()


def test_offsets_that_compaction_has_emptied_are_holes(camera_worlds: Worlds, apache_kafka: Kafka) -> None:
    often = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "100"}
    world = camera_worlds(apache_kafka, config={"cleanup.policy": "compact", **often})

    def send_more() -> None:
        world.send(Record(record.value, record.message, key=b"always the same") for record in frames(10))

    def is_compacted() -> bool:
        send_more()  # the newest segment is never compacted
        return len(offsets_of(world)) < len(world.life().records)

    eventually(is_compacted, 60)
    with closing(admin(apache_kafka.address)) as client:  # from now on nothing is compacted any more
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, world.topic, {"cleanup.policy": "delete"})])
    there = offsets_of(world)
    world.life().records = {offset: sent for offset, sent in world.life().records.items() if offset in there}

    assert world.run() == 0, world.logs()
    world.check()


def test_what_retention_took_before_a_backup_came_is_a_gap_that_is_told_once(
    camera_worlds: Worlds, apache_kafka: Kafka
) -> None:
    world = camera_worlds(apache_kafka)
    life = world.life()
    world.send(frames(100))
    delete_before(world, 10)
    life.lost.append((0, 9))
    life.records = {offset: sent for offset, sent in life.records.items() if offset >= 10}
    assert world.run() == 0, "before the first backup there is nothing to lose"
    world.check()

    world.send(frames(100))
    delete_before(world, 150)
    life.lost.append((100, 149))
    life.records = {offset: sent for offset, sent in life.records.items() if not 100 <= offset < 150}
    assert world.run() == EXIT_PERMANENT, world.logs()
    world.check()

    world.send(frames(20))
    assert world.run() == 0, world.logs()
    world.check()


class Slow(Connection):
    """A connection on which much happens between what was read and what is written."""

    def __init__(self, settings: KafkaSettings, happens: Callable[[], None]) -> None:
        super().__init__(settings)
        self._happens = happens

    def read(self, *place: Any) -> Iterator[Chunk]:
        for chunk in super().read(*place):
            self._happens()
            yield chunk


def test_two_first_backups_that_saw_different_beginnings_make_one_chain(
    camera_worlds: Worlds, apache_kafka: Kafka
) -> None:
    world = camera_worlds(apache_kafka)
    world.send(frames(50))

    def happens() -> None:
        delete_before(world, 20)
        assert world.run() == 0, world.logs()

    with Slow(KafkaSettings(brokers=apache_kafka.address), happens) as connection:
        backup = Backup(connection, world.store, world.bucket, options(CameraSettings(topics=world.topic)))
        assert backup.run([world.topic]) == 0

    manifests = [
        Manifest.from_json(world.store.get(world.bucket, key, limit=LARGEST)[0]) for key in world.keys(MANIFESTS)
    ]
    assert [(each.kind, each.first, each.last) for each in manifests] == [("gap", 0, 19), ("frames", 20, 49)]


def delete_before(world: CameraWorld, offset: int) -> None:
    with closing(admin(world.kafka.address)) as client:
        client.delete_records({TopicPartition(world.topic, 0): offset})


def end_of(world: CameraWorld) -> int:
    """Behind the newest record or mark of a transaction; no transaction may be open.

    A transaction's mark comes a moment after its end is answered. Until then what is committed ends before it.
    """

    def settled() -> list[int]:
        ends = [_end(world, level) for level in ("read_committed", "read_uncommitted")]
        return ends[:1] if ends[0] == ends[1] else []

    return eventually(settled, 30)[0]


def _end(world: CameraWorld, level: str) -> int:
    place = TopicPartition(world.topic, 0)
    with closing(KafkaConsumer(bootstrap_servers=world.kafka.address, isolation_level=level)) as consumer:
        return int(consumer.end_offsets([place])[place])


def offsets_of(world: CameraWorld) -> set[int]:
    """Those that hold a record now."""
    place, end = TopicPartition(world.topic, 0), end_of(world)
    found: set[int] = set()
    with closing(KafkaConsumer(bootstrap_servers=world.kafka.address, auto_offset_reset="earliest")) as consumer:
        consumer.assign([place])
        while consumer.position(place) < end:
            found |= {record.offset for records in consumer.poll(timeout_ms=1000).values() for record in records}
    return found
