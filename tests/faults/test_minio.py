"""F-E5 with a real MinIO: the webhook dies after it has stored an event, and MinIO itself sends it again."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders import small_recording
from tests.contract.events.world import TOKEN, WebhookProcess, run_module
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


def test_what_minio_could_not_deliver_it_delivers_when_the_webhook_is_back(minio_plane: MinioPlane) -> None:
    plane, webhook = minio_plane
    webhook.kill()
    webhook.environment["FIELDPIPE_CRASH_AT"] = "webhook.after_commit"
    webhook.start()

    puts = [plane.put(f"{number}.mcap", small_recording(number)) for number in range(3)]
    eventually(lambda: len(plane.ledger.rows(plane.prefix)) == 1, SECONDS, plane.logs)  # stored, and never acknowledged
    webhook.kill()
    del webhook.environment["FIELDPIPE_CRASH_AT"]
    webhook.start()

    eventually(lambda: len(plane.ledger.rows(plane.prefix)) == 3, SECONDS, plane.logs)
    duplicates = re.compile(r'fieldpipe_events_total\{status="duplicate"\} [1-9]')
    eventually(lambda: duplicates.search(webhook.http.get("/metrics").text), SECONDS, plane.logs)
    plane.dispatcher()
    plane.await_terminal(3)
    plane.check(*puts)
    assert {row["source"] for row in plane.ledger.rows(plane.prefix)} == {"minio"}
