"""Fixtures of the fault tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.camera_world import CameraWorld
from tests.faults.plane import Plane
from tests.faults.stack_world import StackWorld
from tests.kafka_servers import Kafka
from tests.servers import Postgres, Store
from tests.stacks import RunningStack


@pytest.fixture
def plane(tmp_path: Path, mark: str, store: Store, postgres: Postgres) -> Iterator[Plane]:
    """A ledger of the test's own, with processes around it that the test starts."""
    made = Plane(tmp_path, mark, store, postgres.create_database())
    yield made
    made.stop()


@pytest.fixture
def stack_world(stack: RunningStack) -> Iterator[StackWorld]:
    """The session's stack, with a prefix of the test's own."""
    world = StackWorld(stack)
    yield world
    world.ledger.close()


@pytest.fixture
def camera_worlds(tmp_path: Path, mark: str, store: Store) -> Iterator[Callable[..., CameraWorld]]:
    """`camera_worlds(kafka)`: a topic of the test's own; other options are those of CameraWorld."""
    made: list[CameraWorld] = []

    def make(kafka: Kafka, *, objects: Store = store, **options: object) -> CameraWorld:
        made.append(CameraWorld(tmp_path / f"cameras-{len(made)}", mark, objects, kafka, **options))
        return made[-1]

    yield make
    for world in made:
        world.stop()
