"""Fixtures of the cameras' contract tests."""

import pytest

from tests.frame_room import Room
from tests.servers import Store


@pytest.fixture
def room(store: Store) -> Room:
    return Room(store)


@pytest.fixture(params=["seaweedfs", pytest.param("minio", marks=pytest.mark.minio)])
def room_of_each_store(request: pytest.FixtureRequest) -> Room:
    """For what leans on the order of listings and on conditional writes."""
    return Room(request.getfixturevalue("store" if request.param == "seaweedfs" else "minio_store"))
