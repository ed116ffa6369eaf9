"""F-E12: MinIO loses the notification rule. F-E5: the webhook dies, and MinIO itself sends again."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fieldpipe.settings import WebhookSettings
from fieldpipe.store import NotificationRule
from tests.builders import small_recording
from tests.contract.events.world import TOKEN, WebhookProcess, run_module
from tests.faults.harness import RAW
from tests.faults.plane import SECONDS, Plane
from tests.servers import Postgres, Store
from tests.waiting import eventually

pytestmark = [pytest.mark.fault, pytest.mark.minio]

MinioPlane = tuple[Plane, WebhookProcess]


@pytest.fixture
def minio_plane(
    tmp_path: Path, mark: str, postgres: Postgres, minio_server: Callable[..., Store]
) -> Iterator[MinioPlane]:
    """A plane around a real MinIO, which sends its events to the webhook."""
    url = postgres.create_database()
    webhook = WebhookProcess(tmp_path / "webhook", url, mark)
    notify = {
        "MINIO_NOTIFY_WEBHOOK_ENABLE_PRIMARY": "on",
        "MINIO_NOTIFY_WEBHOOK_ENDPOINT_PRIMARY": webhook.url,
        "MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_PRIMARY": TOKEN,
        "MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_PRIMARY": str(tmp_path / "queue"),
    }
    plane = Plane(tmp_path, mark, minio_server(tmp_path, notify), url)
    webhook.start()
    setup = run_module("scripts.setup_events", environment=plane.environment)
    assert setup.returncode == 0, setup.stderr
    yield plane, webhook
    webhook.kill()
    plane.stop()


def sources(plane: Plane) -> dict[str, str]:
    """Who told of each object."""
    return {row["key"].removeprefix(plane.prefix): row["source"] for row in plane.ledger.rows(plane.prefix)}


def test_a_removed_rule_is_repaired_and_what_was_put_meanwhile_is_found(minio_plane: MinioPlane) -> None:
    plane, webhook = minio_plane
    told = plane.put("told.mcap", small_recording(1))
    eventually(lambda: "told.mcap" in sources(plane), SECONDS, plane.logs)
    right = plane.store.notification_rules(RAW)

    plane.store.set_notification_rules(RAW, {NotificationRule(WebhookSettings().arn, suffix=".txt")})
    silent = plane.put("silent.mcap", small_recording(2))
    synced = run_module("scripts.sync_events", environment=plane.environment | {"WEBHOOK_URL": webhook.url})
    again = plane.put("again.mcap", small_recording(3))

    assert synced.returncode == 0, synced.stderr
    assert plane.store.notification_rules(RAW) == right
    eventually(lambda: "again.mcap" in sources(plane), SECONDS, plane.logs)
    assert sources(plane) == {"told.mcap": "minio", "silent.mcap": "listing", "again.mcap": "minio"}
    plane.dispatcher()
    plane.await_terminal(3)
    plane.check(told, silent, again)


def test_what_minio_could_not_deliver_it_delivers_when_the_webhook_is_back(minio_plane: MinioPlane) -> None:
    plane, webhook = minio_plane
    webhook.kill()
    webhook.environment["FIELDPIPE_CRASH_AT"] = "webhook.after_commit"
    webhook.start()

    puts = [plane.put(f"{number}.mcap", small_recording(number)) for number in range(3)]
    eventually(lambda: len(sources(plane)) == 1, SECONDS, plane.logs)  # stored, and never acknowledged
    webhook.kill()
    del webhook.environment["FIELDPIPE_CRASH_AT"]
    webhook.start()

    eventually(lambda: len(sources(plane)) == 3, SECONDS, plane.logs)
    duplicates = re.compile(r'fieldpipe_events_total\{status="duplicate"\} [1-9]')
    eventually(lambda: duplicates.search(webhook.http.get("/metrics").text), SECONDS, plane.logs)
    plane.dispatcher()
    plane.await_terminal(3)
    plane.check(*puts)
