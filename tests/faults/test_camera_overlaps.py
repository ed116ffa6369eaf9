"""F-K2: backups that overlap, one that sleeps while others work. F-K3: what a consumer group says does not matter."""

import os
import signal
from collections.abc import Callable
from contextlib import closing

import pytest
from kafka import KafkaConsumer
from kafka.structs import OffsetAndMetadata, TopicPartition

from fieldpipe.cameras.kafka import GROUP
from tests.faults.camera_world import RUN_SECONDS, CameraWorld, frames
from tests.kafka_servers import Kafka, admin
from tests.servers import Store
from tests.waiting import eventually, is_stopped

pytestmark = pytest.mark.fault

Worlds = Callable[..., CameraWorld]


def test_of_backups_that_overlap_each_offset_is_committed_by_one(
    camera_worlds: Worlds, any_servers: tuple[Kafka, Store]
) -> None:
    kafka, store = any_servers
    world = camera_worlds(kafka, objects=store, partitions=2)
    world.send(frames(1100))
    world.send(frames(50), 1)

    runs = [world.start() for _ in range(3)]

    assert [run.wait(RUN_SECONDS) for run in runs] == [0, 0, 0], world.logs()
    assert world.run() == 0, world.logs()
    world.check()


def test_a_backup_that_wakes_after_others_have_gone_on_changes_nothing(camera_worlds: Worlds, tansu: Kafka) -> None:
    world = camera_worlds(tansu)
    world.send(frames(1100))
    sleeper = world.start(crash_at="sleep cameras.batch")
    eventually(lambda: is_stopped(sleeper.pid), RUN_SECONDS)
    assert world.keys("_manifests/") == []
    assert world.run() == 0, world.logs()
    world.send(frames(20))
    assert world.run() == 0, world.logs()
    before = etags(world)

    os.kill(sleeper.pid, signal.SIGCONT)

    assert sleeper.wait(RUN_SECONDS) == 0, world.logs()
    assert etags(world) == before
    world.check()


def etags(world: CameraWorld) -> dict[str, str]:
    return {info.key: info.etag for info in world.store.list(world.bucket) if world.topic in info.key}


def go_back(world: CameraWorld) -> None:
    commit(world, 3)


def run_ahead(world: CameraWorld) -> None:
    commit(world, 60)


def delete_group(world: CameraWorld) -> None:
    with closing(admin(world.kafka.address)) as client:
        client.delete_groups([GROUP])


def commit(world: CameraWorld, offset: int) -> None:
    with closing(KafkaConsumer(bootstrap_servers=world.kafka.address, group_id=GROUP)) as consumer:
        consumer.commit({TopicPartition(world.topic, 0): OffsetAndMetadata(offset, "", -1)})


@pytest.mark.kafka
@pytest.mark.parametrize("happens", [go_back, run_ahead, delete_group])
def test_a_backup_goes_on_where_the_bucket_says_whatever_became_of_the_commits(
    happens: Callable[[CameraWorld], None], camera_worlds: Worlds, apache_kafka: Kafka
) -> None:
    world = camera_worlds(apache_kafka)
    world.send(frames(50))
    assert world.run() == 0, world.logs()
    world.send(frames(50))

    happens(world)

    assert world.run() == 0, world.logs()
    world.check()
