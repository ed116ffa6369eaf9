"""F-S5: no secret of the stack in what it writes, shows and keeps; the generated ones are the canaries."""

import json
import os
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, make_url, text

from fieldpipe.events.states import State
from fieldpipe.handover import RUN_VARIABLE
from fieldpipe.local import airflow_server
from fieldpipe.local.services import LEDGER_DATABASE
from fieldpipe.local.stack import pods_port
from tests.builders import robot_recording, small_recording
from tests.faults.harness import PROCESSED, SMALL
from tests.faults.stack_world import DAG, SECONDS, StackWorld
from tests.waiting import arguments

pytestmark = [pytest.mark.fault, pytest.mark.stack]

PRIVATE = {"config/credentials.json", "config/environment.json", "config/pods.json", "data/seaweedfs/s3.json"}


def test_no_secret_of_the_stack_is_anywhere_but_in_its_private_files(stack_world: StackWorld) -> None:
    """After recordings of every fate: logs, run conf, rendered tasks, task logs, pods, ledger, results, arguments."""
    world, root = stack_world, stack_world.stack.home.root
    secrets = [value.encode() for value in json.loads((root / "config/credentials.json").read_text()).values()]
    good = world.put("long.mcap", robot_recording(seed=7, seconds=15))
    pods = pods_api(world, world.await_pod().environ()[RUN_VARIABLE])
    bad = world.put("bad.mcap", b"this is no recording")
    hostile = world.put("$(MINIO_SECRET_KEY).mcap", small_recording())
    world.await_terminal(3, SECONDS)
    world.check(good, hostile, others={bad: State.DEAD})

    shown = {**pods, **airflow_pages(world)}
    for database in (LEDGER_DATABASE, airflow_server.DATABASE):
        shown |= tables(world, database)
    results = [info.key for info in world.store.list(PROCESSED)]
    shown |= {key: world.store.get(PROCESSED, key, limit=SMALL)[0] for key in results}
    called = {f"arguments {process.pid}": arguments(process).encode() for process in world.stack.processes()}
    shown |= called

    assert len(secrets) >= 5
    assert any(called.values())
    assert [where for where, what in shown.items() if any(secret in what for secret in secrets)] == []
    holding = [file for file in files(root) if any(secret in content(file) for secret in secrets)]
    assert {str(file.relative_to(root)) for file in holding} <= PRIVATE
    assert {oct(file.stat().st_mode & 0o777) for file in holding} == {"0o600"}


def pods_api(world: StackWorld, run_id: str) -> dict[str, bytes]:
    """Everything that the Pods API says while a pod runs."""
    port = pods_port(world.stack.status())
    inside = "/api/v1/namespaces/fieldpipe"
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        listed = http.get(f"{inside}/pods").raise_for_status()
        assert run_id in listed.text, "the pod is not listed"
        names = [pod["metadata"]["name"] for pod in listed.json()["items"]]
        paths = [f"{inside}/events", "/debug/pods", *(f"{inside}/pods/{name}" for name in names)]
        return {"pods": listed.content} | {path: http.get(path).content for path in paths}


def airflow_pages(world: StackWorld) -> dict[str, bytes]:
    """Runs with their conf, tasks with their rendered fields, and the tasks' logs, of this test."""
    pages: dict[str, bytes] = {}
    for run_id in {row["run_id"] for row in world.ledger.rows(world.prefix)}:
        run = f"{DAG}/dagRuns/{run_id}"
        found = world.airflow("GET", f"{run}/taskInstances")["task_instances"]
        assert found, f"{run_id} has no task"
        pages |= {path: json.dumps(world.airflow("GET", path)).encode() for path in (run, f"{run}/taskInstances")}
        for task in found:
            for number in range(1, task["try_number"] + 1):
                path = f"{run}/taskInstances/{task['task_id']}/logs/{number}"
                pages[path] = json.dumps(world.airflow("GET", path)).encode()
                assert b"object_" in pages[path], "the pod's log is not in the task's"
    return pages


def tables(world: StackWorld, database: str) -> dict[str, bytes]:
    """Everything in a database, as text: its files may hold it compressed."""
    engine = create_engine(make_url(world.url).set(database=database))
    with engine.connect() as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        assert names, f"{database} has no tables"
        rows = {name: connection.execute(text(f'SELECT t::text FROM "{name}" t')).scalars() for name in names}
        found = {name: "\n".join(lines).encode() for name, lines in rows.items()}
    engine.dispose()
    return {f"{database}.{name}": content for name, content in found.items()}


def files(folder: Path) -> list[Path]:
    """All regular files below a folder; what vanishes meanwhile is none."""
    found = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return [path for path in found if path.is_file() and not path.is_symlink()]


def content(file: Path) -> bytes:
    """What is in a file; nothing if it has vanished meanwhile, as temporary files of databases do."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
