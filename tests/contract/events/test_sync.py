"""event-sync on a real store, a real PostgreSQL and the real webhook."""

import json
import signal
import subprocess
import sys
import threading
from uuid import uuid4

import pytest
from pydantic import SecretStr

from fieldpipe.errors import FieldpipeError
from fieldpipe.events.announce import Announcer, WebhookUnavailable
from fieldpipe.events.audit import audit, forget
from fieldpipe.events.reconcile import Reconciler
from fieldpipe.events.routes import Route, Routes
from fieldpipe.settings import WebhookSettings
from tests.contract.events.world import OUTPUT, ROOT, TOKEN, WebhookProcess, event, run_module
from tests.unit.events.hostile_keys import HOSTILE_KEYS
from tests.waiting import eventually


@pytest.fixture(scope="module")
def module_bucket(store):
    """A bucket of this module's own, so that a listing has only its objects."""
    name = f"sync-{uuid4().hex[:12]}"
    store.client.ensure_bucket(name)
    return name


@pytest.fixture
def bucket(store, module_bucket):
    """The bucket, empty."""
    for info in list(store.client.list(module_bucket)):
        store.client.delete(module_bucket, info.key)
    return module_bucket


@pytest.fixture(scope="module")
def routes(module_bucket):
    route = Route(name="r", bucket=module_bucket, patterns=("**/*.mcap",), dag_id="d")
    return Routes([route], output_bucket=OUTPUT)


@pytest.fixture(scope="module")
def webhook(session_ledger, module_bucket, tmp_path_factory, mark):
    folder = tmp_path_factory.mktemp("webhook")
    file = folder / "routes.toml"
    file.write_text(f'[[route]]\nname="r"\nbucket="{module_bucket}"\npatterns=["**/*.mcap"]\ndag_id="d"\n')
    server = WebhookProcess(folder, session_ledger.url, mark, FIELDPIPE_ROUTES_FILE=str(file)).start()
    yield server
    server.stop()


@pytest.fixture
def reconciler(ledger, store, routes, webhook):
    settings = WebhookSettings(url=webhook.url, auth_token=SecretStr(TOKEN))
    short = threading.Event()
    announcer = Announcer(settings, pause=lambda seconds: short.wait(min(seconds, 0.05)))
    return Reconciler(ledger.engine, store.client, routes, announcer)


def test_every_missing_object_is_announced_once(ledger, store, reconciler, bucket):
    for n in range(230):
        store.client.put(bucket, f"{n % 7}/{n}.mcap", b"x")
    store.client.put(bucket, "readme.txt", b"x")
    assert dict(reconciler.sync()) == {"listed": 230, "recorded": 230}
    assert dict(reconciler.sync()) == {"listed": 230}
    rows = ledger.rows()
    assert ({row["source"] for row in rows}, {row["state"] for row in rows}) == ({"listing"}, {"received"})
    assert sorted(row["key"] for row in rows) == sorted(f"{n % 7}/{n}.mcap" for n in range(230))
    (listed,) = store.client.list(bucket, "0/0.mcap")
    (row,) = (row for row in rows if row["key"] == "0/0.mcap")
    assert (row["etag"], row["size"]) == (listed.etag, 1)


def test_only_what_a_route_can_want_is_listed(ledger, store, reconciler, bucket):
    store.client.put(bucket, "lab/a.mcap", b"x")
    for name in ("_probe", "lab", "zoo"):
        store.client.put(bucket, f"{name}/b.mcap", b"x")
    listed = []
    narrow = Route(name="r", bucket=bucket, patterns=("lab/**/*.mcap",), dag_id="d")
    spy = Spy(store.client, listed)
    Reconciler(ledger.engine, spy, Routes([narrow], output_bucket=OUTPUT), reconciler._announcer).sync()
    assert listed == ["lab/a.mcap", "lab/b.mcap"]
    assert [row["key"] for row in ledger.rows()] == ["lab/a.mcap", "lab/b.mcap"]


class Spy:
    """A store that notes what it lists."""

    def __init__(self, store, listed):
        self._store = store
        self._listed = listed

    def list(self, bucket, prefix=""):
        for info in self._store.list(bucket, prefix):
            self._listed.append(info.key)
            yield info


def test_bucket_of_an_optional_route_may_come_later(ledger, store, reconciler, capsys):
    name = f"later-{uuid4().hex[:12]}"
    route = Route(name="r", bucket=name, patterns=("**/*.mcap",), dag_id="d", optional=True)
    for optional, said in ((True, False), (False, True)):
        routes = Routes([route.model_copy(update={"optional": optional})], output_bucket=OUTPUT)
        assert dict(Reconciler(ledger.engine, store.client, routes, reconciler._announcer).sync()) == {}
        assert ("bucket_missing" in "".join(capsys.readouterr())) is said
    assert not store.client.bucket_exists(name)
    store.client.ensure_bucket(name)
    store.client.put(name, "a.mcap", b"x")
    routes = Routes([route], output_bucket=OUTPUT)
    assert Reconciler(ledger.engine, store.client, routes, reconciler._announcer).sync()["listed"] == 1


def test_object_that_an_event_told_of_is_not_announced(ledger, store, reconciler, bucket):
    etag = store.client.put(bucket, "a.mcap", b"x")
    ledger.record(event("a.mcap", etag=etag), route="r")
    ledger.execute("UPDATE objects SET bucket = :bucket", bucket=bucket)
    assert dict(reconciler.sync()) == {"listed": 1}


def test_new_content_is_a_new_version(ledger, store, reconciler, bucket):
    first = store.client.put(bucket, "a.mcap", b"1")
    reconciler.sync()
    second = store.client.put(bucket, "a.mcap", b"2")
    assert reconciler.sync()["recorded"] == 1
    assert ledger.states() == {f"a.mcap@{first}": "received", f"a.mcap@{second}": "received"}


@pytest.mark.parametrize("state", ["gone", "superseded"])
def test_version_that_is_back_in_the_listing_is_received_again_once(ledger, store, reconciler, bucket, state):
    store.client.put(bucket, "a.mcap", b"1")
    reconciler.sync()

    def end() -> None:
        for step in ("claimed", "dispatched", state):
            ledger.execute("UPDATE objects SET state = :state", state=step)

    end()
    assert reconciler.sync()["recorded"] == 0  # the same appearance as before
    ledger.execute("UPDATE objects SET sequencer = 'of an event'")
    assert reconciler.sync()["recorded"] == 1
    end()
    assert reconciler.sync()["recorded"] == 0


@pytest.mark.parametrize("state", ["done", "dead"])
def test_finished_version_is_never_triggered_again(ledger, store, reconciler, bucket, state):
    store.client.put(bucket, "a.mcap", b"1")
    reconciler.sync()
    for step in ("claimed", "dispatched", state):
        ledger.execute("UPDATE objects SET state = :state, sequencer = 'other'", state=step)
    assert reconciler.sync()["recorded"] == 0


def test_hostile_keys_are_found_as_they_are_listed(ledger, store, reconciler, bucket):
    put = [key for key in HOSTILE_KEYS[::5] if accepted(store, bucket, key)]
    assert len(put) > 50
    reconciler.sync()
    assert dict(reconciler.sync())["listed"] == len(ledger.rows())
    wanted = {info.key for info in store.client.list(bucket)}
    assert {row["key"] for row in ledger.rows()} == {
        key for key in wanted if key.lower().endswith(".mcap") and not key.startswith("_runs/")
    }


def accepted(store, bucket, key) -> bool:
    try:
        store.client.put(bucket, key, b"x")
    except (FieldpipeError, ValueError):
        return False
    return True


def test_missing_bucket_is_no_reason_to_stop(ledger, store, webhook):
    missing = Routes([Route(name="r", bucket="no-such-bucket", patterns=("*",), dag_id="d")], output_bucket=OUTPUT)
    announcer = Announcer(WebhookSettings(url=webhook.url), pause=lambda _: None)
    assert Reconciler(ledger.engine, store.client, missing, announcer).sync() == {}


def test_webhook_that_is_down_is_asked_a_few_times_with_pauses(ledger, store, routes, bucket):
    store.client.put(bucket, "a.mcap", b"x")
    pauses: list[float] = []
    announcer = Announcer(WebhookSettings(url="http://127.0.0.1:9/"), pause=pauses.append, chance=lambda: 1.0)
    with pytest.raises(WebhookUnavailable):
        Reconciler(ledger.engine, store.client, routes, announcer).sync()
    assert pauses == [0.5, 1.0, 2.0, 4.0]


def test_watch_goes_on_after_the_webhook_was_down(ledger, store, webhook, reconciler, bucket):
    webhook.kill()
    stop = threading.Event()
    thread = threading.Thread(target=reconciler.watch, args=[0.05, stop])
    thread.start()
    try:
        store.client.put(bucket, "a.mcap", b"x")
        webhook.start()
        eventually(lambda: len(ledger.rows()) == 1)
        store.client.put(bucket, "b.mcap", b"x")
        eventually(lambda: len(ledger.rows()) == 2)
    finally:
        stop.set()
        thread.join(10)


# The command


def environment(store, ledger, webhook) -> dict[str, str]:
    return {**webhook.environment, **store.environment, "FIELDPIPE_LEDGER_URL": ledger.url}


def test_command_syncs_once_and_reports(ledger, store, webhook, bucket):
    store.client.put(bucket, "a.mcap", b"x")
    ended = run_module("scripts.sync_events", environment=environment(store, ledger, webhook))
    assert ended.returncode == 0, ended.stderr
    lines = {line["event"]: line for line in map(json.loads, ended.stderr.splitlines()) if "event" in line}
    assert (lines["objects_compared"]["listed"], lines["objects_compared"]["recorded"]) == (1, 1)
    assert lines["set_up_checked"]["outcomes"][f"notifications {bucket}"] == "unsupported"  # SeaweedFS
    assert ledger.states() != {}


def test_command_watches_until_it_is_told_to_stop(ledger, store, webhook, bucket):
    watcher = subprocess.Popen(
        [sys.executable, "-m", "scripts.sync_events", "--watch", "0.1"],
        cwd=ROOT,
        env=environment(store, ledger, webhook),
    )
    try:
        for n in range(2):
            store.client.put(bucket, f"{n}.mcap", b"x")
            eventually(lambda n=n: len(ledger.rows()) == n + 1, seconds=20)
    finally:
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(10) == 0


# The daily look back


def finish(ledger, key: str, etag: str, bucket: str, result: str | None) -> None:
    ledger.record(event(key, etag=etag), route="r")
    for state in ("claimed", "dispatched", "done"):
        ledger.execute("UPDATE objects SET state = :s, result = :r WHERE key = :k", s=state, r=result, k=key)
    ledger.execute("UPDATE objects SET bucket = :bucket WHERE key = :key", bucket=bucket, key=key)


def test_vanished_result_is_reported_and_not_made_again(ledger, store, bucket):
    etag = store.client.put(bucket, "a.mcap", b"x")
    result = f"{bucket}/manifest.json"
    finish(ledger, "a.mcap", etag, bucket, result)
    assert audit(ledger.engine, store.client, OUTPUT) == 1
    assert audit(ledger.engine, store.client, OUTPUT) == 1
    assert ledger.states() == {f"a.mcap@{etag}": "done"}
    store.client.put(OUTPUT, result, b"{}")
    ledger.execute("UPDATE objects SET audit_due_at = now()")
    assert audit(ledger.engine, store.client, OUTPUT) == 0


def test_row_lives_thirty_days_longer_than_its_object_is_listed(ledger, store, bucket):
    etag = store.client.put(bucket, "listed.mcap", b"x")
    store.client.put(OUTPUT, f"{bucket}/m", b"{}")
    finish(ledger, "listed.mcap", etag, bucket, f"{bucket}/m")
    finish(ledger, "deleted.mcap", "e1", bucket, f"{bucket}/m")
    audit(ledger.engine, store.client, OUTPUT)
    assert (forget(ledger.engine), len(ledger.rows())) == ({}, 2)
    ledger.execute("UPDATE objects SET unlisted_since = unlisted_since - interval '31 days'")
    assert forget(ledger.engine) == {"objects": 1}
    assert [row["key"] for row in ledger.rows()] == ["listed.mcap"]


def test_object_that_is_listed_again_is_kept(ledger, store, bucket):
    finish(ledger, "a.mcap", "e1", bucket, f"{bucket}/m")
    audit(ledger.engine, store.client, OUTPUT)
    etag = store.client.put(bucket, "a.mcap", b"x")
    past = "unlisted_since = now() - interval '31 days', audit_due_at = now()"
    ledger.execute(f"UPDATE objects SET etag = :etag, {past}", etag=etag)
    audit(ledger.engine, store.client, OUTPUT)
    assert forget(ledger.engine) == {}


def test_old_history_runs_and_rejected_bodies_are_forgotten(ledger):
    ledger.execute(
        """
        INSERT INTO history (object_id, at, from_state, to_state, reason) VALUES
            (1, now() - interval '91 days', 'a', 'b', ''), (1, now(), 'a', 'b', '');
        INSERT INTO runs (run_id, route, dag_id, conf, state, closed_at) VALUES
            ('old', 'r', 'd', '{}', 'closed', now() - interval '91 days'),
            ('new', 'r', 'd', '{}', 'closed', now()),
            ('open', 'r', 'd', '{}', 'dispatched', NULL);
        INSERT INTO run_members VALUES ('old', 1, 1), ('new', 2, 1);
        INSERT INTO rejected (sha256, reason, size, body, last_at) VALUES
            ('a', '', 1, '', now() - interval '91 days'), ('b', '', 1, '', now())
        """
    )
    assert forget(ledger.engine) == {"history": 1, "runs": 1, "rejected": 1}
    assert [row["run_id"] for row in ledger.rows("SELECT run_id FROM run_members")] == ["new"]
