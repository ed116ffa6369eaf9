"""F-K7: records that are no frames, or strange ones. F-K8: a topic that is deleted and made again."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fieldpipe.cameras.backup import Backup
from fieldpipe.cameras.frames import options
from fieldpipe.cameras.kafka import Chunk
from fieldpipe.cameras.kafka import Kafka as Connection
from fieldpipe.cameras.message import SINGLE_OBJECT, VERSION_3, Message, encode
from fieldpipe.errors import EXIT_PERMANENT, EXIT_TRANSIENT
from fieldpipe.settings import CameraSettings, KafkaSettings
from tests.faults.camera_check import check
from tests.faults.camera_world import TOMBSTONE, CameraWorld, Record, frames
from tests.kafka_servers import Kafka
from tests.servers import Store

pytestmark = pytest.mark.fault

Worlds = Callable[..., CameraWorld]

TIME = 1_700_000_000_999_999
FRAME = next(iter(frames(1, time=TIME)))
WHOLE = encode(Message(TIME, b"\xff\xd8picture\xff\xd9"))
SEALED = VERSION_3 + b"\x00\x07" + bytes(60)
BAD = [
    Record(b""),
    Record(b"\xff\xd8\xff\xe0 a picture without a message\xff\xd9"),
    Record(WHOLE[:-1]),
    Record(WHOLE[:10]),
    Record(WHOLE.replace(b"\x66\x4f", b"\x06\x4f")),
    Record(VERSION_3 + bytes(2)),
    Record(SINGLE_OBJECT + b"\xff" * 11),
    Record(encode(Message(2**63 - 1, b"a time that no calendar has"))),
    Record(b"{" * 1_000_000),
    TOMBSTONE,
    Record(None, key=b"\x00\xff"),
]
STRANGE = [
    FRAME,
    FRAME,  # a producer that was not sure and sent it again
    Record(encode(Message(0, b"no time")), Message(0, b"no time")),
    Record(encode(Message(-1_500_000, b"before 1970")), Message(-1_500_000, b"before 1970")),
    Record(encode(Message(TIME, b"")), Message(TIME, b"")),
    Record(WHOLE + b"more", Message(TIME, b"\xff\xd8picture\xff\xd9")),
    Record(SEALED, Message(0, SEALED, sealed=7)),
]


def test_what_is_no_frame_is_kept_apart_and_stops_nothing(
    camera_worlds: Worlds, any_servers: tuple[Kafka, Store]
) -> None:
    kafka, store = any_servers
    world = camera_worlds(kafka, objects=store)
    world.send([*frames(3), *BAD, *STRANGE, *frames(3)])

    assert world.run() == EXIT_PERMANENT, world.logs()
    world.check()

    world.send(frames(2))
    assert world.run() == 0, "what is dead is told of once"
    world.check()


def test_a_topic_that_was_made_again_goes_on_beside_its_former_life(camera_worlds: Worlds, any_kafka: Kafka) -> None:
    world = camera_worlds(any_kafka)
    world.send(frames(30, time=TIME))
    assert world.run() == 0, world.logs()
    for count in (40, 10):
        world.recreate_topic()
        world.send(frames(count, 300, time=TIME + count))

        assert world.run() == 0, world.logs()
        world.check()
    assert {key.split("/")[0] for key in world.keys("topics")} >= {"topics", "topics-2", "topics-3"}


class Recreating(Connection):
    """A connection whose topic is made again, with other records, when reading is about to begin."""

    def __init__(self, settings: KafkaSettings, happens: Callable[[], None]) -> None:
        super().__init__(settings)
        self._happens = happens

    def read(self, *place: Any) -> Iterator[Chunk]:
        self._happens()
        return super().read(*place)


def overtaken(world: CameraWorld, happens: Callable[[], None]) -> None:
    """A backup under which its topic is made again: the former life stays as it is, and the next backup goes on."""
    with Recreating(KafkaSettings(brokers=world.kafka.address), happens) as connection:
        backup = Backup(connection, world.store, world.bucket, options(CameraSettings(topics=world.topic)))
        assert backup.run([world.topic]) == EXIT_TRANSIENT
    check(world.store, world.bucket, [life for life in world.lives if life.epoch == 1])

    assert world.run() == 0, world.logs()
    world.check()


def test_a_topic_that_is_made_again_under_a_backup_leaves_its_former_life_untouched(
    camera_worlds: Worlds, any_kafka: Kafka
) -> None:
    world = camera_worlds(any_kafka)
    world.send(frames(20))
    assert world.run() == 0, world.logs()

    def happens() -> None:
        world.recreate_topic()
        world.send(frames(50, 300))

    overtaken(world, happens)


def test_a_backup_that_slept_while_its_topic_was_made_again_overwrites_nothing(
    camera_worlds: Worlds, any_kafka: Kafka
) -> None:
    world = camera_worlds(any_kafka)

    def happens() -> None:
        world.send(frames(20))
        assert world.run() == 0, world.logs()
        world.recreate_topic()
        world.send(frames(20, 300))

    overtaken(world, happens)
