"""F-E15: a paused DAG. F-P5: one object of a hundred kills its pod. F-S1: hostile keys. All through real Airflow."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from fieldpipe.errors import FieldpipeError
from fieldpipe.events.states import State
from fieldpipe.recordings.batch import OBJECTS_AT_ONCE
from tests.builders import small_recording
from tests.faults.harness import RAW, Put
from tests.faults.stack_world import SECONDS, StackWorld
from tests.unit.events.hostile_keys import HOSTILE_KEYS
from tests.waiting import eventually

pytestmark = [pytest.mark.fault, pytest.mark.stack]

BATCH = 100
HOSTILE = 90  # keys: one batch


def put_all(world: StackWorld, names: list[str]) -> list[Put]:
    """Put small recordings, each with its own content, a few at a time."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda each: world.put(each[1], small_recording(each[0])), enumerate(names)))


def await_recorded(world: StackWorld, count: int) -> None:
    """Wait until the ledger has seen everything."""
    eventually(lambda: len(world.ledger.rows(world.prefix)) >= count, SECONDS, world.logs)


def test_rows_of_a_paused_dag_wait_and_say_why_and_go_on_by_themselves(stack_world: StackWorld) -> None:
    world = stack_world
    with world.paused():
        world.await_serving("dispatcher", world.stack.kill("dispatcher"))  # it believes an answer for five seconds
        puts = put_all(world, ["1.mcap", "2.mcap"])
        eventually(lambda: "paused" in (world.ledger.held() or ""), SECONDS, world.ledger.describe)
        await_recorded(world, 2)
        stats = world.stack.run("scripts.ledger", "stats").stdout
        goes_on = datetime.now(UTC)

    rows = world.await_terminal(2, SECONDS)
    world.check(*puts)
    assert "HELD: DAG recording_to_csv is paused" in stats
    assert (
        min(run["created_at"] for run in world.ledger.runs() if run["members"][0] in [row["id"] for row in rows])
        > goes_on
    )
    assert world.ledger.held() is None


def test_of_a_hundred_objects_one_kills_its_pod_and_the_others_are_done(stack_world: StackWorld) -> None:
    world = stack_world
    killer = "050.mcap"
    with world.pods_crash_at(f"recordings.downloaded@{world.prefix}{killer}"):
        with world.asleep("dispatcher"):
            puts = put_all(world, [f"{number:03}.mcap" for number in range(BATCH)])
            await_recorded(world, BATCH)
        world.await_terminal(BATCH, SECONDS)

    (victim,) = [put for put in puts if put.key.endswith(killer)]
    world.check(*puts, others={victim: State.DEAD})
    rows = {row["key"]: row for row in world.ledger.rows(world.prefix)}
    dead = rows.pop(victim.key)
    assert (dead["attempt"], dead["crashes"]) == (3, 3)
    assert "no report" in dead["reason"]
    again = [row["key"] for row in rows.values() if row["attempt"] > 1]
    assert max(row["attempt"] for row in rows.values()) <= 2, "a neighbour died with it twice"
    assert len(again) <= 2 * OBJECTS_AT_ONCE, "only what was in hand when the pod died needs another run"

    retried = world.stack.run("scripts.ledger", "retry", str(dead["id"]))

    assert retried.returncode == 0, retried.stderr
    world.await_terminal(BATCH, SECONDS)
    world.check(*puts)


def test_hostile_keys_are_converted_each_in_its_place(stack_world: StackWorld) -> None:
    """F-S1: no key escapes its folder, runs in a shell or a template, or becomes a secret."""
    world = stack_world
    names = hostile_names(world)
    assert any("$(MINIO_SECRET_KEY)" in name for name in names)
    assert any("{{" in name for name in names)

    with world.asleep("dispatcher"):
        puts = {put.etag: put for put in put_all(world, names)}
        await_recorded(world, len(names))

    listed = {info.etag: info.key for info in world.store.list(RAW, world.prefix)}
    assert listed.keys() == puts.keys()
    found = [Put(listed[etag], etag, put.content) for etag, put in puts.items()]
    world.await_terminal(len(found), SECONDS)
    world.check(*found)


def hostile_names(world: StackWorld) -> list[str]:
    """A batch of keys that the store takes and that stay different when it makes `a//b` into `a/b`."""
    wanted = [key.strip("/") for key in HOSTILE_KEYS if key.lower().endswith(".mcap")]
    different = {re.sub("/+", "/", key): key for key in wanted}.values()
    step = max(1, len(different) // HOSTILE)
    chosen = [key for key in different if "$(MINIO" in key or "{{" in key][:20]
    chosen += [key for key in list(different)[::step] if key not in chosen]
    return [key for key in chosen if accepted(world, key)][:HOSTILE]


def accepted(world: StackWorld, name: str) -> bool:
    """Whether the store takes a key of this name at all (it is tried where nothing is triggered)."""
    try:
        world.store.put("processed-data", f"_runs/{world.prefix}{name}", b"")
    except FieldpipeError:
        return False
    return True
