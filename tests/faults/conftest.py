"""Fixtures of the fault tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.plane import Plane
from tests.faults.stack_world import StackWorld
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
