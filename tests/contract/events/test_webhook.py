"""The webhook under gunicorn, over HTTP, on a real PostgreSQL."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.events.world import OUTPUT, ROOT, TOKEN, WebhookProcess, body
from tests.waiting import eventually

MANUAL_BODY = {  # of the first README, word for word
    "EventName": "s3:ObjectCreated:Put",
    "Records": [{"s3": {"bucket": {"name": "raw-data"}, "object": {"key": "test.mcap"}}}],
}


@pytest.fixture(scope="module")
def webhook(session_ledger, tmp_path_factory, mark):
    server = WebhookProcess(tmp_path_factory.mktemp("webhook"), session_ledger.url, mark).start()
    yield server
    server.stop()


@pytest.fixture
def rows(ledger, webhook):
    return lambda query="SELECT * FROM objects ORDER BY id": ledger.rows(query)


def metric(webhook: WebhookProcess, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", webhook.http.get("/metrics").text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def test_event_is_acknowledged_once_it_is_stored(webhook, rows):
    response = webhook.post(body("a%2Frun.mcap"))
    assert (response.status_code, response.json()) == (
        202,
        {"events": [{"bucket": "raw-data", "key": "a/run.mcap", "status": "recorded", "reason": ""}]},
    )
    assert [row["key"] for row in rows()] == ["a/run.mcap"]


def test_repeated_event_is_a_duplicate(webhook, rows):
    statuses = [webhook.post(body("run.mcap")).json()["events"][0]["status"] for _ in range(3)]
    assert statuses == ["recorded", "duplicate", "duplicate"]


def test_manual_test_body_of_the_first_readme_is_taken(webhook, rows):
    response = webhook.http.post("/minio-event", json=MANUAL_BODY, headers={"Authorization": f"Bearer {TOKEN}"})
    assert (response.status_code, response.json()["events"][0]["status"]) == (202, "recorded")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_content_type_does_not_matter(webhook, rows, content_type):
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type}
    response = webhook.http.post("/minio-event", content=body(f"{content_type}.mcap"), headers=headers)
    assert response.status_code == 202


def test_our_own_output_is_ignored_and_counted(webhook, rows):
    before = metric(webhook, "fieldpipe_loop_guard_total")
    response = webhook.post(body("run.mcap", bucket=OUTPUT))
    assert (response.status_code, response.json()["events"][0]["status"], rows()) == (202, "ignored", [])
    assert metric(webhook, "fieldpipe_loop_guard_total") == before + 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"{}",
        b'{"Records": null}',
        b"\x00\xff",
        b"[" * 10_000,
        body("a\0.mcap"),
        body("a%00.mcap"),
        body("\ud800.mcap"),
        body("%FF.mcap"),
        body("k" * 2000 + ".mcap"),
        b"x" * (10 * 1024 * 1024),
    ],
)
def test_poison_is_kept_acknowledged_and_blocks_nothing(webhook, rows, content):
    response = webhook.post(content)
    assert (response.status_code, response.json()["events"][0]["status"]) == (202, "dead")
    assert webhook.post(body("behind.mcap")).json()["events"][0]["status"] == "recorded"
    (kept,) = rows("SELECT * FROM rejected")
    assert (kept["size"], bytes(kept["body"])) == (len(content), content[: 64 * 1024])


def test_chunked_body_is_taken(webhook, rows):
    def chunks():
        content = body("chunked.mcap")
        yield content[:20]
        yield content[20:]

    response = webhook.http.post("/minio-event", content=chunks(), headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.json()["events"][0]["status"] == "recorded"


def test_thousand_records_in_one_body(webhook, rows):
    record = json.loads(body("x.mcap"))["Records"][0]
    records = []
    for n in range(1000):
        record["s3"]["object"]["key"] = f"{n}.mcap"
        records.append(json.loads(json.dumps(record)))
    answers = webhook.post(json.dumps({"Records": records}).encode()).json()["events"]
    assert {answer["status"] for answer in answers} == {"recorded"}
    assert len(rows()) == 1000


@pytest.mark.parametrize("token", [None, "wrong", TOKEN + "x", TOKEN[:-1]])
def test_wrong_token_is_refused_and_stores_nothing(webhook, rows, token):
    response = webhook.post(body("a.mcap"), token=token)
    assert (response.status_code, rows(), rows("SELECT * FROM rejected")) == (401, [], [])


def test_body_of_a_stranger_is_not_read(webhook):
    with socket.create_connection(("127.0.0.1", webhook.port), timeout=10) as client:
        client.sendall(b"POST /minio-event HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 401")


def test_look_whether_somebody_is_here(webhook):
    assert webhook.http.head("/minio-event").status_code == 200


def test_pages_for_operations(webhook, rows):
    assert webhook.http.get("/").json() == {
        "service": "minio-webhook-receiver",
        "endpoints": ["/minio-event", "/health", "/ready", "/metrics"],
    }
    assert webhook.http.get("/health").json() == {"status": "healthy", "service": "minio-webhook-receiver"}
    ready = webhook.http.get("/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True})
    assert webhook.http.get("/minio-event").status_code == 405
    assert webhook.http.get("/nothing").status_code == 404


def test_metrics_are_right_with_two_workers_and_say_what_waits(webhook, rows, ledger):
    before = metric(webhook, 'fieldpipe_events_total{status="recorded"}')
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: webhook.post(body(f"{n}.mcap")), range(40)))
    ledger.execute("INSERT INTO route_status (route, held_reason) VALUES ('recordings', 'DAG \"x\" is paused')")
    ledger.execute("UPDATE objects SET received_at = now() - interval '90 seconds' WHERE key = '7.mcap'")
    for _ in range(4):  # whichever worker answers
        assert metric(webhook, 'fieldpipe_events_total{status="recorded"}') == before + 40
        assert metric(webhook, 'fieldpipe_objects{route="recordings",state="received"}') == 40
        assert metric(webhook, 'fieldpipe_route_held{reason="DAG \\"x\\" is paused",route="recordings"}') == 1
        assert 90 <= metric(webhook, 'fieldpipe_oldest_waiting_seconds{route="recordings"}') < 120
    assert metric(webhook, "fieldpipe_ack_seconds_count") >= 40


def test_slow_clients_are_cut_and_stored_nowhere(webhook, rows):
    headers = f"POST /minio-event HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    starts = ["POST /minio", headers, f"{headers}Content-Length: 500\r\n\r\n"]  # stuck at every stage of a request
    with ThreadPoolExecutor(len(starts)) as pool:
        seconds = list(pool.map(lambda start: seconds_until_cut(webhook, start.encode()), starts))
    assert max(seconds) < 10  # 4 s, a look each second, and a busy machine
    assert rows("SELECT * FROM rejected") == []


def test_many_slow_clients_do_not_keep_an_event_waiting(webhook, rows):
    slow = [socket.create_connection(("127.0.0.1", webhook.port)) for _ in range(40)]
    try:
        for client in slow:
            client.sendall(b"POST /minio-event HTTP/1.1\r\nHost: x\r\n")
        started = time.monotonic()
        assert webhook.post(body("a.mcap")).status_code == 202
        assert time.monotonic() - started < 2
    finally:
        for client in slow:
            client.close()


def seconds_until_cut(webhook: WebhookProcess, start: bytes) -> float:
    """A client that sends a byte every now and then; how long the server puts up with it."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", webhook.port), timeout=0.2) as client:
        client.sendall(start)

        def cut() -> bool:
            try:
                client.sendall(b"x")
                return client.recv(1000) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        eventually(cut, seconds=15)
    return time.monotonic() - started


# Trouble: servers of the test's own


def test_two_tokens_are_valid_while_one_is_rotated(ledger, start_webhook):
    webhook = start_webhook(ledger.url, WEBHOOK_AUTH_TOKEN="new", WEBHOOK_AUTH_TOKEN_PREVIOUS="old")
    codes = [webhook.post(body("a.mcap"), token=token).status_code for token in ("new", "old", "older")]
    assert codes == [202, 202, 401]


def test_open_to_the_world_without_a_token_does_not_start(ledger):
    environment = {**os.environ, "FIELDPIPE_LEDGER_URL": ledger.url, "WEBHOOK_BIND": "0.0.0.0:0"}
    environment.pop("WEBHOOK_AUTH_TOKEN", None)
    arguments = [sys.executable, "-m", "gunicorn", "-c", "webhook/gunicorn.conf.py", "webhook.wsgi:app"]
    started = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30)
    assert (started.returncode, started.stderr.splitlines()[-1]) == (
        65,
        "error: WEBHOOK_AUTH_TOKEN: without a token the webhook listens on loopback only, not on 0.0.0.0:0",
    )


@pytest.mark.parametrize(("place", "stored"), [("webhook.before_commit", 0), ("webhook.after_commit", 1)])
def test_webhook_killed_around_the_commit_acknowledges_nothing_that_is_lost(ledger, start_webhook, place, stored):
    webhook = start_webhook(ledger.url, FIELDPIPE_CRASH_AT=place, WEBHOOK_WORKERS="1")
    with pytest.raises(Exception, match=r"disconnected|reset"):
        webhook.post(body("a.mcap"))
    assert len(ledger.rows()) == stored
    webhook.kill()
    webhook.environment.pop("FIELDPIPE_CRASH_AT")
    webhook.start()
    assert webhook.post(body("a.mcap")).json()["events"][0]["status"] == ["recorded", "duplicate"][stored]
    assert ledger.states() == {"a.mcap": "received"}


def test_ledger_that_is_down_means_503_until_it_is_back(postgres_factory, tmp_path, start_webhook):
    server = postgres_factory(tmp_path)
    webhook = start_webhook(server.create_database())
    assert (webhook.http.get("/ready").status_code, webhook.post(body("a.mcap")).status_code) == (503, 503)
    environment = {**os.environ, "FIELDPIPE_LEDGER_URL": webhook.environment["FIELDPIPE_LEDGER_URL"]}
    subprocess.run([sys.executable, "-m", "scripts.ledger", "migrate"], cwd=ROOT, env=environment, check=True)
    eventually(lambda: webhook.post(body("a.mcap")).status_code == 202)

    codes: list[int] = []
    stop = threading.Event()
    sender = threading.Thread(target=lambda: post_until(webhook, codes, stop))
    sender.start()
    try:
        server.kill()
        eventually(lambda: 503 in codes)
        refused = webhook.post(body("b.mcap"))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "3")
        assert webhook.http.get("/ready").status_code == 503
        assert webhook.http.get("/health").status_code == 200
        assert metric(webhook, "fieldpipe_ledger_up") == 0
        server.start()
        eventually(lambda: webhook.post(body("b.mcap")).status_code == 202, seconds=20)
    finally:
        stop.set()
        sender.join()
    eventually(lambda: webhook.http.get("/ready").status_code == 200, seconds=20)
    assert set(codes) <= {202, 503}


def post_until(webhook: WebhookProcess, codes: list[int], stop: threading.Event) -> None:
    while not stop.is_set():
        codes.append(webhook.post(body(f"{len(codes)}.mcap")).status_code)


def test_nothing_is_left_behind_when_it_ends(ledger, start_webhook, tmp_path):
    (tmp_path / "tmp").mkdir()
    webhook = start_webhook(ledger.url, TMPDIR=str(tmp_path / "tmp"))
    webhook.post(body("a.mcap"))
    webhook.stop()
    assert list((tmp_path / "tmp").iterdir()) == []
