"""F-K6: a backlog of large frames takes no more memory than a small one. `make bench-camera` does it with 5 GB."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.camera_world import RUN_SECONDS, CameraWorld, frames
from tests.kafka_servers import Kafka
from tests.memory import Peak
from tests.servers import Store

pytestmark = [pytest.mark.fault, pytest.mark.kafka]

LIMIT = 256 * 1024 * 1024  # half of the backlog: what was held to its end would not fit
FRAMES, SIZE = 108, 5_000_000


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that goes with the test: pytest's own stay for three sessions, and this is a gigabyte."""
    with tempfile.TemporaryDirectory(prefix="fieldpipe-backlog-") as name:
        yield Path(name)


def test_half_a_gigabyte_of_large_frames_is_backed_up_in_256_megabytes(
    scratch: Path,
    store_factory: Callable[[Path], Store],
    apache_kafka_factory: Callable[[Path], Kafka],
    camera_worlds: Callable[..., CameraWorld],
) -> None:
    world = camera_worlds(apache_kafka_factory(scratch), objects=store_factory(scratch))
    world.send(frames(FRAMES, SIZE))

    run = world.start()
    peak = Peak(run.pid)

    assert run.wait(RUN_SECONDS) == 0, world.logs()
    assert 0 < peak.most() <= LIMIT
    world.check()
