"""The embedded stack with two Celery workers; one of them is killed while 200 recordings flow (F-P3)."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fieldpipe.local.status import State
from tests.faults.stack_world import SECONDS, StackWorld
from tests.faults.test_stack_batches import put_all
from tests.local.test_stack import SERVICES, _demo
from tests.sockets import listening
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


def test_redis_and_the_workers_serve_beside_the_others_on_loopback_only(celery_stack: RunningStack) -> None:
    done = celery_stack.run("scripts.stack", "status")

    serving = {service.name for service in celery_stack.status().services if service.state is State.SERVING}
    assert serving == SERVICES | {"redis", "worker-1", "worker-2"}
    assert all(name in done.stdout for name in serving)
    assert {address for address, _ in listening(celery_stack.processes())} <= {"127.0.0.1", "::1"}


def test_the_log_of_a_task_is_readable_when_its_file_is_gone(celery_world: StackWorld, tmp_path: Path) -> None:
    stack = celery_world.stack
    result = _demo(stack, tmp_path)
    run = f"/api/v2/dags/{result['dag_id']}/dagRuns/{result['run_id']}"

    store = celery_world.store
    eventually(lambda: any(result["run_id"] in log.key for log in store.list("airflow-logs", "task-logs/")), 30)
    shutil.rmtree(stack.home.logs / "airflow" / f"dag_id={result['dag_id']}")
    log = str(celery_world.airflow("GET", f"{run}/taskInstances/convert_recording/logs/1"))

    assert "s3://airflow-logs/task-logs/" in log
    assert "object_converted" in log, "what the pod said"


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


def age(process: psutil.Process) -> float:
    """In seconds, by the clock that counts from the boot: psutil's time of the boot is cut to whole seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - (process.create_time() - psutil.boot_time())


def worker_with_a_fresh_task(world: StackWorld) -> tuple[str, list[psutil.Process]] | None:
    """A worker that has just begun a task, with everything below it; its tasks are children of its children."""
    for name in ("worker-1", "worker-2"):
        running = world.stack.service(name).process
        assert running is not None
        with contextlib.suppress(psutil.NoSuchProcess):  # slots and tasks come and go
            worker = psutil.Process(running.pid)
            tasks = [task for slot in worker.children() for task in slot.children()]
            if any(age(task) < FRESH for task in tasks):
                return name, [worker, *worker.children(recursive=True)]
    return None
