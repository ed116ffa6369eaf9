"""F-E8: the ledger's database is down, read-only, or its disk is full. F-E1: the same event a thousand times."""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from fieldpipe.events.announce import notification
from fieldpipe.store import ObjectInfo
from tests.builders import small_recording
from tests.contract.events.world import WebhookProcess
from tests.faults.harness import RAW
from tests.faults.plane import SECONDS, Plane
from tests.servers import Postgres, Store
from tests.waiting import eventually

pytestmark = pytest.mark.fault

DISK = 128 * 1024 * 1024  # bytes: an empty cluster takes about a third of it
COPIES = 1000


def taken(webhook: WebhookProcess, body: bytes) -> bool:
    """Whether the webhook acknowledges an event now."""
    return webhook.post(body).status_code == httpx.codes.ACCEPTED


def refused(webhook: WebhookProcess, body: bytes) -> str:
    """The webhook says that it could not store the event, when to come back, and that it is not ready; why."""
    response = webhook.post(body)
    ready = webhook.http.get("/ready")
    assert (response.status_code, "Retry-After" in response.headers) == (503, True), response.text
    assert (ready.status_code, webhook.http.get("/health").status_code) == (503, 200), ready.text
    return str(response.json()["error"])


@pytest.fixture
def plane_of_its_own(
    tmp_path: Path, mark: str, store: Store, postgres_factory: Callable[[Path], Postgres]
) -> Iterator[Callable[[Path], tuple[Plane, Postgres]]]:
    """`plane_of_its_own(folder)`: a plane with a PostgreSQL in `folder` that nobody else uses."""
    made: list[Plane] = []

    def make(folder: Path) -> tuple[Plane, Postgres]:
        server = postgres_factory(folder)
        (tmp_path / "plane").mkdir()
        made.append(Plane(tmp_path / "plane", mark, store, server.create_database()))
        return made[0], server

    yield make
    for plane in made:
        plane.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that is soon full. Mounting one takes root, and a container may forbid it to root too."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("mounting a small tmpfs takes root: a full disk is not tested here (a read-only ledger is)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_while_the_database_is_down_nothing_is_acknowledged_and_afterwards_everything_is_converted(
    plane_of_its_own: Callable[[Path], tuple[Plane, Postgres]], tmp_path: Path
) -> None:
    plane, postgres = plane_of_its_own(tmp_path)
    webhook = plane.webhook()
    dispatcher = plane.dispatcher()
    before, after = (plane.put(f"{number}.mcap", small_recording(number)) for number in range(2))
    killed = threading.Event()
    plane.airflow.before_pod = lambda run_id, attempt: (postgres.kill(), killed.set())
    assert taken(webhook, plane.events(before))
    assert killed.wait(SECONDS), plane.logs()
    plane.airflow.before_pod = lambda run_id, attempt: None

    refused(webhook, plane.events(after))
    postgres.start()

    eventually(lambda: taken(webhook, plane.events(after)), SECONDS, plane.logs)
    plane.await_terminal(2)
    plane.check(before, after)
    assert dispatcher.exit_code() is None, "the dispatcher outlives the database"


def test_while_the_database_is_read_only_nothing_is_acknowledged(
    plane_of_its_own: Callable[[Path], tuple[Plane, Postgres]], tmp_path: Path
) -> None:
    plane, _ = plane_of_its_own(tmp_path)
    webhook = plane.webhook()
    plane.dispatcher()
    put = plane.put("run.mcap", small_recording())
    assert taken(webhook, json.dumps({"Records": []}).encode())

    read_only(plane, on=True)
    reason = refused(webhook, plane.events(put))
    rows = plane.ledger.rows()
    read_only(plane, on=False)

    assert ("read-only" in reason, rows) == (True, [])
    eventually(lambda: taken(webhook, plane.events(put)), SECONDS, plane.logs)
    plane.await_terminal(1)
    plane.check(put)


def test_while_the_disk_is_full_nothing_is_acknowledged_that_is_not_stored(
    small_disk: Path, plane_of_its_own: Callable[[Path], tuple[Plane, Postgres]]
) -> None:
    plane, _ = plane_of_its_own(small_disk)
    webhook = plane.webhook()
    keys = [f"{plane.prefix}{'k' * 900}{number:03}.mcap" for number in range(500)]
    body = json.dumps(notification([ObjectInfo(RAW, key, 1, "0" * 32, None) for key in keys])).encode()
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for _ in itertools.count():
            file.write(bytes(4096))

    reason = refused(webhook, body)
    ballast.unlink()

    assert "No space left on device" in reason
    eventually(lambda: taken(webhook, body), SECONDS, plane.logs)
    assert sorted(row["key"] for row in plane.ledger.rows(plane.prefix)) == keys


def test_the_same_event_a_thousand_times_through_two_webhooks_is_one_run(plane: Plane) -> None:
    webhooks = itertools.cycle([plane.webhook(name="first"), plane.webhook(name="second")])
    put = plane.put("run.mcap", small_recording())
    body = plane.events(put)
    plane.dispatcher()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda webhook: webhook.post(body), itertools.islice(webhooks, COPIES)))

    statuses = [response.json()["events"][0]["status"] for response in answers]
    assert {response.status_code for response in answers} == {httpx.codes.ACCEPTED}
    assert (statuses.count("recorded"), statuses.count("duplicate")) == (1, COPIES - 1)
    plane.await_terminal(1)
    plane.check(put)
    assert len(plane.airflow.runs) == 1


def read_only(plane: Plane, *, on: bool) -> None:
    """Make the database refuse writes, or take them again; sessions that are open end, as they would not notice."""
    name = plane.ledger.engine.url.database
    plane.ledger.execute(
        "SET default_transaction_read_only = off",
        f"ALTER DATABASE {name} SET default_transaction_read_only = {'on' if on else 'off'}",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> 'fieldpipe-fault-tests'"
        " AND datname = current_database()",
    )
