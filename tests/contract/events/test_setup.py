"""The store's set-up: made where it is missing, left alone where it is right; the same on every store."""

import subprocess
import sys
from uuid import uuid4

import pytest

from fieldpipe.events.lifecycle import Rule, rules_of, with_rules
from fieldpipe.events.routes import Route, Routes
from fieldpipe.events.setup import Outcome, ensure_lifecycle, ensure_rules, lifecycle_rules, set_up
from fieldpipe.settings import BucketSettings
from tests.contract.events.world import OUTPUT, ROOT
from tests.waiting import eventually

ARN = "arn:minio:sqs::PRIMARY:webhook"
UPLOADS = Rule("fieldpipe-uploads", "", 7, uploads=True)
REPORTS = Rule("fieldpipe-reports", "_runs/", 30)
LOGS = Rule("fieldpipe-logs", "", 30)
FOREIGN = b"""<LifecycleConfiguration><Rule>
  <ID>of-the-owner</ID><Status>Enabled</Status><Filter><Prefix>scratch/</Prefix></Filter>
  <Expiration><Days>3</Days></Expiration>
</Rule></LifecycleConfiguration>"""


@pytest.fixture(params=["seaweedfs", pytest.param("minio", marks=pytest.mark.minio)])
def server(request):
    return request.getfixturevalue("store" if request.param == "seaweedfs" else "minio_store")


@pytest.fixture
def keeps_uploads(server):
    """What the store takes of rules about uploads: MinIO takes none."""
    return set() if "Minio" in type(server.server).__name__ else {UPLOADS}


def plan():
    """Routes and buckets that nobody else uses."""
    name = uuid4().hex[:8]
    routes = Routes([Route(name="r", bucket=f"in-{name}", patterns=("*",), dag_id="d")], output_bucket=f"out-{name}")
    return routes, BucketSettings(processed_bucket=f"out-{name}", log_bucket=f"logs-{name}"), name


def test_everything_missing_is_made_and_found_right_afterwards(server, keeps_uploads):
    _, buckets, name = plan()
    first = set_up(server.client, Routes([], output_bucket=OUTPUT), buckets, ARN)
    assert (first[f"bucket out-{name}"], first[f"lifecycle logs-{name}"]) == (Outcome.CREATED, Outcome.REPAIRED)
    second = set_up(server.client, Routes([], output_bucket=OUTPUT), buckets, ARN)
    assert set(second.values()) == {Outcome.RIGHT}
    assert rules_of(server.client.lifecycle(f"out-{name}")) == {REPORTS} | keeps_uploads
    assert rules_of(server.client.lifecycle(f"logs-{name}")) == {LOGS} | keeps_uploads


def test_bucket_of_a_route_is_made_and_nothing_in_it_ever_expires(server, keeps_uploads):
    routes, buckets, name = plan()
    server.client.ensure_bucket(f"in-{name}")
    wanted = lifecycle_rules(routes, buckets)[f"in-{name}"]
    ensure_lifecycle(server.client, f"in-{name}", wanted)
    assert rules_of(server.client.lifecycle(f"in-{name}")) == keeps_uploads


def test_bucket_of_an_optional_route_is_not_made_and_gets_no_rules_about_what_disappears(server):
    name = plan()[2]
    route = Route(name="r", bucket=f"cam-{name}", patterns=("_manifests/**",), dag_id="d", optional=True)
    routes, buckets = Routes([route], output_bucket=f"out-{name}"), BucketSettings(processed_bucket=f"out-{name}")
    assert set_up(server.client, routes, buckets, ARN)[f"notifications cam-{name}"] == Outcome.NO_BUCKET
    assert not server.client.bucket_exists(f"cam-{name}")
    server.client.ensure_bucket(f"cam-{name}")
    server.client.set_lifecycle(f"cam-{name}", FOREIGN)
    if "Minio" not in type(server.server).__name__:  # a MinIO without a webhook refuses rules that name one
        outcomes = set_up(server.client, routes, buckets, ARN)
        assert [each for each in outcomes if f"cam-{name}" in each] == [f"notifications cam-{name}"]
    assert rules_of(server.client.lifecycle(f"cam-{name}")) == set()


def test_rule_of_somebody_else_stays_beside_ours(server):
    name = plan()[2]
    server.client.ensure_bucket(f"out-{name}")
    server.client.set_lifecycle(f"out-{name}", FOREIGN)
    assert ensure_lifecycle(server.client, f"out-{name}", frozenset({REPORTS})) == Outcome.REPAIRED
    document = server.client.lifecycle(f"out-{name}")
    assert b"of-the-owner" in document
    assert b"scratch/" in document
    assert ensure_lifecycle(server.client, f"out-{name}", frozenset({REPORTS})) == Outcome.RIGHT


def test_rule_of_ours_that_was_changed_is_put_right(server):
    name = plan()[2]
    server.client.ensure_bucket(f"out-{name}")
    server.client.set_lifecycle(f"out-{name}", with_rules(None, [Rule("fieldpipe-reports", "", 1)]))
    assert ensure_lifecycle(server.client, f"out-{name}", frozenset({REPORTS})) == Outcome.REPAIRED
    assert rules_of(server.client.lifecycle(f"out-{name}")) == {REPORTS}


def test_no_rule_reaches_a_result():
    routes, buckets, name = plan()
    for bucket, rules in lifecycle_rules(routes, buckets).items():
        expiring = {rule.prefix for rule in rules if not rule.uploads}
        assert expiring == {f"in-{name}": set(), f"out-{name}": {"_runs/"}, f"logs-{name}": {""}}[bucket]


def test_command_waits_for_a_store_that_is_still_starting(store_factory, tmp_path):
    server = store_factory(tmp_path)
    server.stop()
    log = tmp_path / "log"
    with log.open("w") as file:
        command = subprocess.Popen(
            [sys.executable, "-m", "scripts.setup_events", "--wait", "60"],
            cwd=ROOT,
            env={**server.environment, "FIELDPIPE_LOG_BUCKET": "airflow-logs"},
            stdout=file,
            stderr=file,
        )
    eventually(lambda: "waiting: " in log.read_text(), seconds=20)
    server.start()
    assert command.wait(60) == 0, log.read_text()
    assert "bucket airflow-logs: created" in log.read_text().splitlines()
    assert server.client.bucket_exists("airflow-logs")


def test_command_makes_a_bucket_that_is_not_ours_only_when_told(store):
    command = [sys.executable, "-m", "scripts.setup_events"]
    bucket = f"cameras-{plan()[2]}"
    environment = {**store.environment, "CAMERA_BUCKET": bucket}

    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    assert not store.client.bucket_exists(bucket)

    subprocess.run([*command, "--create", bucket], cwd=ROOT, env=environment, check=True)
    assert store.client.bucket_exists(bucket)


def test_store_without_notifications_is_recognised(store):
    routes = Routes([Route(name="r", bucket="raw-data", patterns=("*",), dag_id="d")], output_bucket=OUTPUT)
    assert ensure_rules(store.client, routes, ARN) == {"raw-data": Outcome.UNSUPPORTED}


def test_missing_bucket_is_not_created_by_looking(store):
    routes = Routes([Route(name="r", bucket="not-there", patterns=("*",), dag_id="d")], output_bucket=OUTPUT)
    assert ensure_rules(store.client, routes, ARN) == {"not-there": Outcome.NO_BUCKET}
    assert not store.client.bucket_exists("not-there")
