"""F-K1: a camera backup is killed at every step it has, and run again."""

import signal
from collections.abc import Iterator

import pytest

from tests.faults.camera_world import TOMBSTONE, CameraWorld, Record, frames
from tests.faults.crash_points import points_in
from tests.kafka_servers import Kafka
from tests.servers import Store

pytestmark = pytest.mark.fault

POINTS = points_in(*(f"plugins/fieldpipe/cameras/{name}.py" for name in ("backup", "chain", "upload")))
TIME = 1_700_000_000_123_456
ENDS = (0, 65)  # 65: one run, whichever it was, has told of records that are no frames


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, mark: str, store: Store, tansu: Kafka) -> Iterator[CameraWorld]:
    """A topic that is more than one batch, with what is no frame between frames."""
    world = CameraWorld(tmp_path_factory.mktemp("kills"), mark, store, tansu, partitions=2)
    world.send(frames(1100))
    world.send([*frames(20, time=TIME), Record(b"no message"), TOMBSTONE, *frames(3, 100_000, time=TIME)], 1)
    yield world
    world.stop()


@pytest.mark.parametrize("point", POINTS)
def test_a_backup_that_was_killed_is_finished_by_the_next_one(point: str, filled: CameraWorld) -> None:
    filled.use_new_bucket()

    assert filled.run(crash_at=point) == -signal.SIGKILL, f"the backup never came to {point}\n{filled.logs()}"
    assert filled.run(crash_at=f"{point}:2") in (-signal.SIGKILL, *ENDS), filled.logs()

    assert filled.run() in ENDS, filled.logs()
    filled.check()
