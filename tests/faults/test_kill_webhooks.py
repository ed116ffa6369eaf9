"""F-E5, F-E6: a webhook dies before or after its commit; whoever sends repeats until it is answered with 202."""

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from fieldpipe.events.announce import notification
from fieldpipe.store import ObjectInfo
from tests.builders import small_recording
from tests.contract.events.world import WebhookProcess
from tests.faults.crash_points import points_of
from tests.faults.harness import RAW
from tests.faults.plane import SECONDS, Plane
from tests.waiting import alive, eventually

pytestmark = pytest.mark.fault

POINTS = points_of("webhook")
SENDERS = 4
SOME = 30  # events between two kills
STORED = {"webhook.before_commit": 0, "webhook.after_commit": 1}


def statuses(response: httpx.Response) -> list[str]:
    """What became of the events of a body."""
    assert response.status_code == 202, response.text
    return [event["status"] for event in response.json()["events"]]


@pytest.mark.parametrize("point", POINTS)
def test_an_event_whose_webhook_was_killed_is_converted_once_after_it_was_sent_again(point: str, plane: Plane) -> None:
    put = plane.put("run.mcap", small_recording())
    body = plane.events(put)
    dying = plane.webhook(crash_at=point, name="dying")

    with pytest.raises(httpx.TransportError):
        dying.post(body)
    stored = len(plane.ledger.rows(plane.prefix))
    answer = plane.webhook().post(body)
    plane.dispatcher()

    assert (stored, statuses(answer)) == (STORED[point], ["duplicate" if stored else "recorded"])
    plane.await_terminal(1)
    plane.check(put)


def test_what_was_acknowledged_while_processes_were_killed_is_in_the_ledger_once(plane: Plane) -> None:
    """Four senders repeat each event until it is taken, as MinIO does, until everything was killed once."""
    webhook = plane.webhook()
    numbers = itertools.count()
    answers: dict[str, str] = {}
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            key = f"{plane.prefix}{next(numbers):05}.mcap"
            answers[key] = _send_until_taken(webhook, key)

    def worker() -> psutil.Process | None:
        return next((child for child in psutil.Process(webhook.pid).children() if alive(child)), None)

    def let_some_pass() -> None:
        before = len(answers)
        eventually(lambda: len(answers) >= before + SOME, SECONDS, plane.logs)

    with ThreadPoolExecutor(SENDERS) as pool:
        senders = [pool.submit(send) for _ in range(SENDERS)]
        try:
            for _ in range(2):
                let_some_pass()
                eventually(worker, SECONDS, plane.logs).kill()
            let_some_pass()
            webhook.kill()
            webhook.start()
            let_some_pass()
        finally:
            over.set()
        for sender in senders:
            sender.result(SECONDS)

    assert set(answers.values()) <= {"recorded", "duplicate"}
    assert sorted(row["key"] for row in plane.ledger.rows(plane.prefix)) == sorted(answers)


def _send_until_taken(webhook: WebhookProcess, key: str) -> str:
    content = json.dumps(notification([ObjectInfo(RAW, key, 1, "0" * 32, None)])).encode()

    def taken() -> httpx.Response | None:
        try:
            response = webhook.post(content)
        except httpx.TransportError:
            return None
        return response if response.status_code == 202 else None

    return statuses(eventually(taken, SECONDS, lambda: key))[0]
