"""The check that the camera tests end with finds what is wrong with a bucket."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.faults.camera_world import CameraWorld, Record, frames
from tests.kafka_servers import Kafka
from tests.servers import Store

pytestmark = pytest.mark.fault

Damage = Callable[[CameraWorld], None]


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory, mark: str, store: Store, tansu: Kafka) -> Iterator[CameraWorld]:
    """Two batches of frames, and a record that is none."""
    world = CameraWorld(tmp_path_factory.mktemp("check"), mark, store, tansu)
    for records in ([*frames(3, time=1_700_000_000_000_000), Record(b"bad")], frames(2)):
        world.send(records)
        world.run()
    world.check()
    yield world
    world.stop()


def of(world: CameraWorld, prefix: str, suffix: str = "") -> str:
    """The first key that begins and ends like that."""
    return next(key for key in world.keys(prefix) if key.endswith(suffix))


def remove(prefix: str, suffix: str = "") -> Damage:
    return lambda world: world.store.delete(world.bucket, of(world, prefix, suffix))


def spoil(prefix: str, suffix: str = "") -> Damage:
    def damage(world: CameraWorld) -> None:
        key = of(world, prefix, suffix)
        content, _ = world.store.get(world.bucket, key, limit=1_000_000)
        world.store.put(world.bucket, key, content[:-1] + b"?")

    return damage


def change_manifest(number: int, **values: object) -> Damage:
    def damage(world: CameraWorld) -> None:
        key = world.keys("_manifests/")[number]
        manifest = json.loads(world.store.get(world.bucket, key, limit=1_000_000)[0])
        world.store.put(world.bucket, key, json.dumps(manifest | values).encode())

    return damage


def add_stranger(world: CameraWorld) -> None:
    world.store.put(world.bucket, of(world, "topics/", ".jpg").replace(".jpg", "-2.jpg"), b"?")


def claim_loss(world: CameraWorld) -> None:
    change_manifest(1, kind="gap", frames=[], dead=[], holes=[])(world)


@pytest.mark.parametrize(
    "damage",
    [
        remove("topics/", ".jpg"),
        remove("topics/", ".txt"),
        remove("_dead/", ".bin"),
        remove("_manifests/"),
        spoil("topics/", ".jpg"),
        spoil("topics/", ".txt"),
        spoil("_dead/", ".bin"),
        add_stranger,
        claim_loss,
        change_manifest(0, first=1),
        change_manifest(0, last=4),
        change_manifest(1, last=4),
        change_manifest(1, frames=[]),
        change_manifest(1, holes=[[4, 5]]),
        change_manifest(0, dead=[]),
    ],
)
def test_every_kind_of_damage_is_found(damage: Damage, backed_up: CameraWorld) -> None:
    before = {key: backed_up.store.get(backed_up.bucket, key, limit=1_000_000)[0] for key in backed_up.keys("")}
    damage(backed_up)

    with pytest.raises((AssertionError, KeyError)):
        backed_up.check()

    for key in set(backed_up.keys("")) - set(before):
        backed_up.store.delete(backed_up.bucket, key)
    for key, content in before.items():
        backed_up.store.put(backed_up.bucket, key, content)
    backed_up.check()
