"""`python -m scripts.ledger`, as a person types it."""

import json
import os
import subprocess
import sys
from uuid import uuid4

import pytest

from fieldpipe.events.people import Filter, list_objects
from fieldpipe.events.states import State
from tests.contract.events.world import ROOT, event, run_module
from tests.waiting import eventually


@pytest.fixture
def command(ledger):
    def run(*arguments: str, code: int = 0) -> str:
        ended = run_module("scripts.ledger", *arguments, environment={**os.environ, "FIELDPIPE_LEDGER_URL": ledger.url})
        assert ended.returncode == code, ended.stderr
        return ended.stdout if code == 0 else ended.stderr

    return run


@pytest.fixture
def dead(ledger):
    """Three objects: one done, one dead after three crashes, one waiting."""
    ledger.record(event("lab/done.mcap"), event("lab/dead.mcap"), event("other/waiting.mcap"))
    for state in ("claimed", "dispatched"):
        ledger.execute("UPDATE objects SET state = :s, run_id = 'fp.r.1' WHERE key LIKE 'lab/%'", s=state)
    ledger.execute("UPDATE objects SET state = 'done', result = 'm' WHERE key = 'lab/done.mcap'")
    ledger.execute(
        "UPDATE objects SET state = 'dead', reason = 'not_mcap: no magic', crashes = 3 WHERE key = 'lab/dead.mcap'"
    )
    body = "INSERT INTO rejected (sha256, reason, size, body) VALUES ('abc123', 'not JSON', 3, :body)"
    ledger.execute(body, body=b"x\0y")
    return {row["key"]: row["id"] for row in ledger.rows()}


def test_list_shows_the_newest_first(command, dead):
    lines = command("list", "--limit", "2").splitlines()
    assert lines[0].split() == ["id", "state", "route", "key", "etag", "attempt", "received", "since", "reason"]
    assert [line.split()[3] for line in lines[1:]] == ["other/waiting.mcap", "lab/done.mcap"]


def test_list_takes_its_filters_together(command, dead):
    filters = [
        "--key",
        "lab/*",
        "--state",
        "dead",
        "--reason",
        "no magic",
        "--bucket",
        "raw-data",
        "--route",
        "recordings",
    ]
    assert [row["key"] for row in json.loads(command("list", "--json", *filters))] == ["lab/dead.mcap"]


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        (Filter(), ["other/waiting.mcap", "lab/done.mcap", "lab/dead.mcap"]),
        (Filter(key="lab/*"), ["lab/done.mcap", "lab/dead.mcap"]),
        (Filter(key="lab_*"), []),
        (Filter(key="%"), []),
        (Filter(state=State.DONE), ["lab/done.mcap"]),
        (Filter(reason="no magic"), ["lab/dead.mcap"]),
        (Filter(reason="%"), []),
        (Filter(route="nothing"), []),
        (Filter(bucket="nothing"), []),
    ],
)
def test_filter_means_what_it_says(ledger, dead, wanted, keys):
    with ledger.engine.begin() as connection:
        assert [row["key"] for row in list_objects(connection, wanted, limit=9)] == keys


def test_show_tells_an_object_with_its_history(command, dead):
    (shown,) = json.loads(command("show", "lab/done.mcap", "--json"))
    moves = [(line["from_state"], line["to_state"]) for line in shown["history"]]
    assert moves == [("received", "claimed"), ("claimed", "dispatched"), ("dispatched", "done")]
    assert "dispatched  done" in command("show", str(dead["lab/done.mcap"]))


def test_show_tells_a_rejected_body(command, dead):
    assert "x\\x00y" in command("show", "abc1")


def test_show_of_nothing_is_an_error(command, dead):
    assert command("show", "nothing", code=65).startswith("error: the ledger has no object")


def test_dead_lists_objects_and_bodies(command, dead):
    answer = json.loads(command("dead", "--json"))
    assert [row["key"] for row in answer["objects"]] == ["lab/dead.mcap"]
    assert [body["sha256"] for body in answer["rejected"]] == ["abc123"]
    assert "not_mcap: no magic" in command("dead")


def test_retry_gives_a_full_budget_again(command, dead, ledger):
    assert command("retry", str(dead["lab/dead.mcap"])) == "1 dead objects wait for a run again\n"
    (row,) = ledger.rows("SELECT * FROM objects WHERE key = 'lab/dead.mcap'")
    assert (row["state"], row["crashes"], row["reason"]) == ("received", 0, "retried by a person")
    assert command("retry", "--all") == "0 dead objects wait for a run again\n"


def test_reprocess_opens_a_new_generation_of_finished_objects_only(command, dead, ledger):
    assert command("reprocess", "--key", "*") == "1 finished objects wait for a run again\n"
    (row,) = ledger.rows("SELECT * FROM objects WHERE key = 'lab/done.mcap'")
    assert (row["state"], row["generation"]) == ("received", 2)


@pytest.mark.parametrize("name", ["retry", "reprocess"])
def test_acting_on_everything_must_be_said(command, dead, ledger, name):
    before = ledger.states()
    assert "say --all" in command(name, code=65)
    assert ledger.states() == before


def test_stats_say_what_waits_and_why(command, dead, ledger):
    ledger.execute("INSERT INTO route_status (route, held_reason) VALUES ('recordings', 'DAG x is paused')")
    text = command("stats")
    assert "objects: 1 dead, 1 done, 1 received" in text
    assert "HELD: DAG x is paused" in text
    assert "rejected bodies (dead): 1" in text
    numbers = json.loads(command("stats", "--json"))
    assert numbers["routes"]["recordings"]["rows"] == {"received": 1, "dead": 1}
    ledger.execute("UPDATE objects SET route = 'forgotten'")
    assert "HELD: no such route in the routes file" in command("stats")


def test_unmigrated_ledger_is_named(postgres):
    environment = {**os.environ, "FIELDPIPE_LEDGER_URL": postgres.create_database()}
    ended = run_module("scripts.ledger", "stats", environment=environment)
    assert (ended.returncode, ended.stderr) == (
        65,
        "error: the ledger is not migrated: python -m scripts.ledger migrate\n",
    )
    assert run_module("scripts.ledger", "migrate", environment=environment).stdout == "the ledger is migrated\n"
    assert run_module("scripts.ledger", "stats", environment=environment).returncode == 0


def test_migration_waits_for_a_database_that_is_made_meanwhile(postgres, tmp_path):
    name = f"late_{uuid4().hex[:8]}"
    url = postgres.url(name)
    log = tmp_path / "log"
    with log.open("w") as file:
        command = subprocess.Popen(
            [sys.executable, "-m", "scripts.ledger", "migrate", "--wait", "60"],
            cwd=ROOT,
            env={**os.environ, "FIELDPIPE_LEDGER_URL": url},
            stdout=file,
            stderr=file,
        )
    eventually(lambda: "waiting: the ledger's database: " in log.read_text(), seconds=20)
    postgres.server.ensure_database(name)
    assert command.wait(60) == 0, log.read_text()
    assert "the ledger is migrated" in log.read_text().splitlines()


def test_unreachable_ledger_is_transient():
    url = "postgresql+psycopg2://x@/none?host=/nonexistent"
    ended = run_module("scripts.ledger", "stats", environment={**os.environ, "FIELDPIPE_LEDGER_URL": url})
    assert (ended.returncode, ended.stderr.startswith("error: the ledger's database: ")) == (75, True)
