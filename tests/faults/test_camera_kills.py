"""F-K1: a camera backup is killed at every step it has, and run again."""

import signal
from collections.abc import Callable

import pytest

from tests.faults.camera_world import TOMBSTONE, CameraWorld, Record, frames
from tests.faults.crash_points import points_in
from tests.kafka_servers import Kafka

pytestmark = pytest.mark.fault

POINTS = points_in(*(f"plugins/fieldpipe/cameras/{name}.py" for name in ("backup", "chain", "upload")))
TIME = 1_700_000_000_123_456
ENDS = (0, 65)  # 65: one run, whichever it was, has told of records that are no frames


@pytest.mark.parametrize("point", POINTS)
def test_a_backup_that_was_killed_is_finished_by_the_next_one(
    point: str, camera_worlds: Callable[..., CameraWorld], tansu: Kafka
) -> None:
    world = camera_worlds(tansu, partitions=2)
    world.send(frames(1100))  # more than one batch
    world.send([*frames(20, time=TIME), Record(b"no message"), TOMBSTONE, *frames(3, 100_000, time=TIME)], 1)

    assert world.run(crash_at=point) == -signal.SIGKILL, f"the backup never came to {point}\n{world.logs()}"
    assert world.run(crash_at=f"{point}:2") in (-signal.SIGKILL, *ENDS), world.logs()

    assert world.run() in ENDS, world.logs()
    world.check()
