"""F-E5, F-E6: a webhook dies before or after its commit; whoever sends repeats until it is answered with 202."""

import json
import random
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
from tests.waiting import eventually

pytestmark = pytest.mark.fault

POINTS = points_of("webhook")
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
    """Four senders repeat each event until it is taken, as MinIO does; workers and the master are killed meanwhile."""
    webhook = plane.webhook()
    keys = [f"{plane.prefix}{number:03}.mcap" for number in range(240)]
    seed = random.SystemRandom().randrange(2**32)
    sending = threading.Event()

    with ThreadPoolExecutor(5) as pool:
        killer = pool.submit(_kill_workers, webhook, random.Random(seed), sending)
        answers = list(pool.map(lambda key: _send_until_taken(webhook, key), keys, timeout=SECONDS))
        sending.set()
        kills = killer.result()

    assert kills >= 3, "the events were through before anything was killed"
    assert set(answers) <= {"recorded", "duplicate"}, f"seed {seed}"
    assert sorted(row["key"] for row in plane.ledger.rows(plane.prefix)) == keys, f"seed {seed}"


def _send_until_taken(webhook: WebhookProcess, key: str) -> str:
    content = json.dumps(notification([ObjectInfo(RAW, key, 1, "0" * 32, None)])).encode()

    def taken() -> httpx.Response | None:
        try:
            response = webhook.post(content)
        except httpx.TransportError:
            return None
        return response if response.status_code == 202 else None

    return statuses(eventually(taken, SECONDS, lambda: key))[0]


def _kill_workers(webhook: WebhookProcess, dice: random.Random, sending: threading.Event) -> int:
    """Kill one of the worker processes again and again; returns how often."""
    kills = 0
    while not sending.wait(dice.uniform(0.1, 0.4)):
        workers = psutil.Process(webhook.pid).children()
        if workers:
            dice.choice(workers).kill()
            kills += 1
    return kills
