"""Events from a real MinIO: its notifications, its queue, its rules."""

import json

import pytest
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from fieldpipe.events.routes import Route, Routes, load_routes
from fieldpipe.events.setup import Outcome, ensure_rules
from fieldpipe.store import NotificationRule
from tests.contract.events.world import OUTPUT, TOKEN, WebhookProcess, run_module
from tests.waiting import eventually

pytestmark = pytest.mark.minio

ARN = "arn:minio:sqs::PRIMARY:webhook"


@pytest.fixture
def webhook(ledger, tmp_path, mark):
    server = WebhookProcess(tmp_path, ledger.url, mark)
    yield server
    server.stop()


@pytest.fixture
def minio(minio_server, tmp_path, webhook):
    """MinIO that sends to the webhook, with the queue and the token of production."""
    target = {"ENABLE": "on", "ENDPOINT": webhook.url, "QUEUE_DIR": str(tmp_path / "queue"), "AUTH_TOKEN": TOKEN}
    return minio_server(tmp_path, {f"MINIO_NOTIFY_WEBHOOK_{name}_PRIMARY": value for name, value in target.items()})


@pytest.fixture
def command(ledger, minio, webhook):
    return lambda name: run_module(name, environment={**webhook.environment, **minio.environment})


def routes():
    return load_routes(None, output_bucket=OUTPUT)


def test_object_put_into_minio_becomes_a_row_with_its_version(ledger, minio, webhook, command):
    webhook.start()
    assert "notifications raw-data: repaired" in command("scripts.setup_events").stdout.splitlines()
    minio.client._client.set_bucket_versioning("raw-data", VersioningConfig(ENABLED))
    etag = minio.client.put("raw-data", "lab/a b+ü.MCAP", b"1234")
    minio.client.put("raw-data", "lab/notes.txt", b"x")
    minio.client.delete("raw-data", "lab/notes.txt")
    (row,) = eventually(ledger.rows)
    assert (row["key"], row["etag"], row["size"], row["source"]) == ("lab/a b+ü.MCAP", etag, 4, "minio")
    assert row["version_id"]
    assert row["sequencer"]
    assert ensure_rules(minio.client, routes(), ARN) == {"picamera": Outcome.NO_BUCKET, "raw-data": Outcome.RIGHT}
    assert "notifications raw-data: right" in command("scripts.setup_events").stdout.splitlines()


def test_events_of_a_time_without_webhook_come_from_minios_queue(ledger, minio, webhook, command):
    command("scripts.setup_events")
    for n in range(20):
        minio.client.put("raw-data", f"{n}.mcap", b"x")
    webhook.start()
    eventually(lambda: len(ledger.rows()) == 20, seconds=20)
    assert {row["source"] for row in ledger.rows()} == {"minio"}


def test_poison_key_does_not_block_what_comes_behind(ledger, minio, webhook, command):
    webhook.start()
    command("scripts.setup_events")
    minio.client.put("raw-data", "_runs/x.mcap", b"x")
    minio.client.put("raw-data", "$(MINIO_SECRET_KEY)\n{{ 7*7 }}.mcap", b"x")
    minio.client.put("raw-data", "behind.mcap", b"x")
    eventually(lambda: len(ledger.rows()) == 2)
    assert {row["key"] for row in ledger.rows()} == {"$(MINIO_SECRET_KEY)\n{{ 7*7 }}.mcap", "behind.mcap"}


@pytest.mark.parametrize(
    "found",
    [
        set(),
        {NotificationRule(ARN, suffix=".mcap")},
        {NotificationRule(ARN, events=("s3:ObjectRemoved:*",))},
        {NotificationRule(ARN, prefix="a/"), NotificationRule(ARN, prefix="b/")},
    ],
)
def test_rule_that_is_not_ours_is_replaced(minio, found):
    minio.client.set_notification_rules("raw-data", found)
    assert ensure_rules(minio.client, routes(), ARN)["raw-data"] == Outcome.REPAIRED
    assert ensure_rules(minio.client, routes(), ARN)["raw-data"] == Outcome.RIGHT


def test_of_a_cameras_bucket_only_manifests_are_announced_once_it_is_there(ledger, minio, webhook, command):
    webhook.start()
    assert "notifications picamera: no bucket yet" in command("scripts.setup_events").stdout.splitlines()
    minio.client.ensure_bucket("picamera")
    assert "notifications picamera: repaired" in command("scripts.setup_events").stdout.splitlines()
    assert minio.client.notification_rules("picamera") == {
        NotificationRule("arn:minio:sqs:us-east-1:PRIMARY:webhook", prefix="_manifests/")
    }
    minio.client.put("picamera", "topics/cam/cam+0+0000000000.jpg", b"x")
    minio.client.put("picamera", "_manifests/cam/1/0/0000000000000000/00000000000000000000.json", b"{}")
    (row,) = eventually(ledger.rows)
    assert (row["route"], row["source"]) == ("frames", "minio")


def test_rules_of_others_stay_in_a_bucket_that_is_not_ours(minio_server, tmp_path):
    target = {"ENABLE": "on", "ENDPOINT": "http://127.0.0.1:9", "QUEUE_DIR": str(tmp_path / "queue")}
    names = [(name, value, id) for name, value in target.items() for id in ("PRIMARY", "OWNER")]
    minio = minio_server(tmp_path, {f"MINIO_NOTIFY_WEBHOOK_{name}_{id}": value for name, value, id in names})
    owners = NotificationRule("arn:minio:sqs:us-east-1:OWNER:webhook", suffix=".jpg")
    minio.client.ensure_bucket("picamera")
    for bucket in ("picamera", "raw-data"):
        minio.client.set_notification_rules(bucket, {owners})
    for outcome in (Outcome.REPAIRED, Outcome.RIGHT):
        assert set(ensure_rules(minio.client, routes(), ARN).values()) == {outcome}
    assert owners in minio.client.notification_rules("picamera")
    assert len(minio.client.notification_rules("picamera")) == 2
    assert owners not in minio.client.notification_rules("raw-data")


def test_two_routes_of_one_bucket_have_a_rule_each(ledger, minio):
    both = [
        Route(name=name, bucket="raw-data", patterns=(f"{name}/*",), dag_id="d", optional=name == "b") for name in "ab"
    ]
    wanted = Routes(both, output_bucket=OUTPUT)
    assert ensure_rules(minio.client, wanted, ARN) == {"raw-data": Outcome.REPAIRED}
    assert ensure_rules(minio.client, wanted, ARN) == {"raw-data": Outcome.RIGHT}
    assert {rule.prefix for rule in minio.client.notification_rules("raw-data")} == {"a/", "b/"}


def test_removed_rule_is_put_back_and_the_gap_is_closed(ledger, minio, webhook, command):
    webhook.start()
    command("scripts.setup_events")
    minio.client.set_notification_rules("raw-data", set())
    minio.client.put("raw-data", "in-the-gap.mcap", b"x")
    ended = command("scripts.sync_events")
    assert ended.returncode == 0, ended.stderr
    lines = {line["event"]: line for line in map(json.loads, ended.stderr.splitlines())}
    assert lines["set_up_checked"]["outcomes"]["notifications raw-data"] == "repaired"
    minio.client.put("raw-data", "after.mcap", b"x")
    eventually(lambda: len(ledger.rows()) == 2)
    assert {row["key"]: row["source"] for row in ledger.rows()} == {"in-the-gap.mcap": "listing", "after.mcap": "minio"}


def test_rule_that_minio_does_not_know_the_target_of_is_explained(minio):
    with pytest.raises(Exception, match="destination ARN does not exist"):
        ensure_rules(minio.client, routes(), "arn:minio:sqs::OTHER:webhook")
