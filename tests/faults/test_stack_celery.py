"""F-P3: kill -9 of one of two Celery workers, with everything it has started, while 200 recordings flow."""

import contextlib
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.faults.stack_world import SECONDS, StackWorld
from tests.faults.test_stack_batches import put_all
from tests.stacks import RunningStack
from tests.waiting import eventually

pytestmark = [pytest.mark.fault, pytest.mark.stack, pytest.mark.timeout(600)]

RECORDINGS = 200
FRESH = 0.5  # seconds; no task ends so soon
PATIENCE = 2 * SECONDS  # a lost task is noticed after a minute, and so may be its next try


@pytest.fixture
def celery_world(celery_stack: RunningStack) -> Iterator[StackWorld]:
    """The stack with two workers, with a prefix of the test's own."""
    world = StackWorld(celery_stack)
    yield world
    world.ledger.close()


def test_of_two_hundred_recordings_none_is_lost_or_doubled_when_a_worker_is_killed(celery_world: StackWorld) -> None:
    world = celery_world
    puts = put_all(world, [f"{number:03}.mcap" for number in range(RECORDINGS)])
    eventually(lambda: done(world) >= RECORDINGS // 4, SECONDS, world.logs)

    name, victims = eventually(lambda: worker_with_a_fresh_task(world), SECONDS, world.logs)
    moment = time.time()
    for process in victims:
        with contextlib.suppress(psutil.NoSuchProcess):  # one that ended by itself just now
            process.kill()
    left = RECORDINGS - done(world)

    world.await_serving(name, moment)
    world.await_terminal(RECORDINGS, PATIENCE)
    world.check(*puts)
    assert left > 0, "the worker was to be killed in the middle"


def done(world: StackWorld) -> int:
    """How many objects are through."""
    return sum(row["state"] == "done" for row in world.ledger.rows(world.prefix))


def worker_with_a_fresh_task(world: StackWorld) -> tuple[str, list[psutil.Process]] | None:
    """A worker that has just begun a task, with everything below it; its tasks are children of its children."""
    for name in ("worker-1", "worker-2"):
        running = world.stack.service(name).process
        assert running is not None
        with contextlib.suppress(psutil.NoSuchProcess):  # slots and tasks come and go
            worker = psutil.Process(running.pid)
            tasks = [task for slot in worker.children() for task in slot.children()]
            if any(time.time() - task.create_time() < FRESH for task in tasks):
                return name, [worker, *worker.children(recursive=True)]
    return None
