"""kill -9 of any one process of the stack, while recordings flow through it, loses nothing. F-P3 is the scheduler."""

import contextlib
import functools
import time
from collections.abc import Callable

import psutil
import pytest

from tests.builders import robot_recording, small_recording
from tests.faults.harness import Put
from tests.faults.stack_world import SECONDS, StackWorld
from tests.local.test_stack import SERVICES
from tests.waiting import arguments, eventually

pytestmark = [pytest.mark.fault, pytest.mark.stack]

long_recording = functools.cache(robot_recording)


def webhook_worker(world: StackWorld) -> psutil.Process:
    """One of gunicorn's workers."""
    return service(world, "webhook").children()[0]


def postgres_backend(world: StackWorld) -> psutil.Process:
    """A process of PostgreSQL: it then ends all others and recovers, as after a crash."""
    children = ((child, arguments(child)) for child in service(world, "postgres").children())
    return next(child for child, title in children if "ledger" in title and "autovacuum" not in title)


def task(world: StackWorld) -> psutil.Process:
    """The process of Airflow that runs our task: the last of its line below the scheduler."""
    world.await_pod()
    return max(service(world, "scheduler").children(recursive=True), key=lambda process: process.create_time())


def service(world: StackWorld, name: str) -> psutil.Process:
    """The process that the supervisor has started."""
    running = world.stack.service(name).process
    assert running is not None
    return psutil.Process(running.pid)


VICTIMS: dict[str, Callable[[StackWorld], psutil.Process]] = {
    **{name: functools.partial(service, name=name) for name in sorted(SERVICES)},
    "webhook worker": webhook_worker,
    "postgres backend": postgres_backend,
    "task": task,
    "pod": StackWorld.await_pod,
}


@pytest.mark.parametrize("name", VICTIMS)
def test_recordings_that_flow_while_a_process_is_killed_are_all_converted(name: str, stack_world: StackWorld) -> None:
    world = stack_world
    puts = [world.put("long.mcap", long_recording(seed=7, seconds=120)), world.put("1.mcap", small_recording(1))]
    world.await_pod()

    moment = time.time()
    with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself just now
        VICTIMS[name](world).kill()
    puts += [world.put(f"{number}.mcap", small_recording(number)) for number in range(2, 5)]

    if name in SERVICES:
        world.await_serving(name, moment)
    all_converted(world, puts)


def test_recordings_that_flow_while_the_supervisor_is_killed_are_converted_after_the_next_start(
    stack_world: StackWorld,
) -> None:
    world = stack_world
    puts = [world.put("long.mcap", long_recording(seed=7, seconds=120)), world.put("1.mcap", small_recording(1))]
    world.await_pod()

    supervisor = world.stack.status().supervisor
    psutil.Process(supervisor.pid).kill()
    eventually(lambda: not supervisor.alive(), SECONDS)
    world.stack.up()
    world.reconnect()
    puts.append(world.put("2.mcap", small_recording(2)))

    all_converted(world, puts)


def all_converted(world: StackWorld, puts: list[Put]) -> None:
    """Everything is done, with golden bytes, and no pod is left over."""
    world.await_terminal(len(puts), SECONDS)
    world.check(*puts)
    eventually(lambda: not world.pods(), SECONDS, lambda: f"pods are left over: {world.pods()}")
