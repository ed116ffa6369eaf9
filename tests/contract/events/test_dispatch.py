"""The dispatcher against the stub of Airflow, on a real PostgreSQL and a real store."""

import signal
import subprocess
import sys
import threading

import pytest

from fieldpipe.events.queries import backlog
from fieldpipe.events.routes import Routes
from fieldpipe.handover import Outcome, Report, WorkItem, work_item
from tests.contract.events.stub_airflow import Fault
from tests.contract.events.world import OUTPUT, ROOT, DispatchWorld, event, run_module
from tests.waiting import eventually

CONVERTED = Report(Outcome.CONVERTED, manifest="m")


def held(world: DispatchWorld) -> str | None:
    (row,) = world.ledger.rows("SELECT held_reason FROM route_status")
    reason: str | None = row["held_reason"]
    return reason


def test_object_is_run_and_done(world):
    world.ledger.record(event("lab/a.mcap", version_id="v1", size=3))
    dispatcher = world.dispatcher()
    dispatcher.step()
    (run_id,) = world.airflow.runs
    (item,) = world.conf(run_id)
    (row,) = world.ledger.rows()
    assert world.airflow.confs[run_id]["run"] == run_id
    received = row["received_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert work_item(item) == WorkItem("raw-data", "lab/a.mcap", "e1", row["id"], "v1", received)
    assert (row["state"], row["run_id"], row["attempt"]) == ("dispatched", run_id, 1)
    world.convert(run_id)
    assert world.turn(dispatcher) == {"lab/a.mcap": "done"}
    assert world.ledger.rows()[0]["result"] == "lab/a.mcap/manifest.json"


def test_backlog_shares_runs_and_never_has_more_than_the_limit_in_flight(world):
    world.ledger.record(*(event(f"{n}.mcap") for n in range(250)))
    dispatcher = world.dispatcher(batch_limit=50, max_runs=2)
    while len(world.airflow.runs) < 5:
        world.turn(dispatcher)
        assert len(world.airflow.open_runs()) == 2 or len(world.airflow.runs) == 5
        world.end_all(CONVERTED)
    assert set(world.turn(dispatcher).values()) == {"done"}
    assert [len(world.conf(run)) for run in world.airflow.runs] == [50] * 5
    assert world.airflow.most_open == 2


def test_two_dispatchers_at_once_share_the_limit_and_make_each_run_once(world):
    world.ledger.record(*(event(f"{n}.mcap") for n in range(60)))
    world.airflow.on_created = lambda run_id: threading.Thread(target=world.convert, args=[run_id]).start()
    stop = threading.Event()
    dispatchers = [world.dispatcher(batch_limit=4, max_runs=3) for _ in range(2)]
    threads = [threading.Thread(target=dispatcher.run, args=[stop]) for dispatcher in dispatchers]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: set(world.ledger.states().values()) == {"done"}, seconds=40)
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
    assert world.airflow.most_open <= 3
    items = [item["id"] for run in world.airflow.runs for item in world.conf(run)]
    assert len(items) == len(set(items)) == 60


def test_report_of_a_running_run_is_not_looked_at(world):
    world.ledger.record(event("a.mcap"))
    dispatcher = world.dispatcher()
    dispatcher.step()
    (run_id,) = world.airflow.runs
    world.convert(run_id, state="running")
    assert world.turn(dispatcher) == {"a.mcap": "dispatched"}


@pytest.mark.parametrize(
    ("report", "state"),
    [
        (Report(Outcome.REJECTED, "not_mcap"), "dead"),
        (Report(Outcome.GONE, "404"), "gone"),
        (Report(Outcome.SUPERSEDED, "412"), "superseded"),
        (Report(Outcome.TRANSIENT, "503"), "received"),
    ],
)
def test_each_outcome_has_its_state_and_reason(world, report, state):
    world.ledger.record(event("a.mcap"))
    dispatcher = world.dispatcher()
    dispatcher.step()
    world.end_all(report, "failed")
    world.turn(dispatcher)
    (row,) = world.ledger.rows()
    assert (row["state"], row["reason"]) == (state, report.reason)


def test_last_try_of_the_task_has_the_last_word(world):
    world.ledger.record(event("a.mcap"))
    dispatcher = world.dispatcher()
    dispatcher.step()
    (run_id,) = world.airflow.runs
    (item,) = world.conf(run_id)
    world.report(run_id, item["id"], Report(Outcome.TRANSIENT, "503"), attempt=1)
    world.report(run_id, item["id"], CONVERTED, attempt=2)
    world.airflow.runs[run_id] = "success"
    assert world.turn(dispatcher) == {"a.mcap": "done"}


@pytest.mark.parametrize("content", [b"", b"{", b'{"outcome": "nonsense"}', b'{"outcome": "converted", "reason": ""}'])
def test_odd_report_is_as_good_as_absent(world, content):
    world.ledger.record(event("a.mcap"))
    dispatcher = world.dispatcher()
    dispatcher.step()
    (run_id,) = world.airflow.runs
    world.store.put(OUTPUT, f"_runs/{run_id}/{world.conf(run_id)[0]['id']}.1.json", content)
    world.airflow.runs[run_id] = "success"
    world.turn(dispatcher)
    (row,) = world.ledger.rows()
    assert (row["crashes"], row["alone"]) == (1, True)


def test_object_that_kills_its_pod_is_dead_after_three_runs_and_its_neighbours_are_done(world):
    world.ledger.record(*(event(f"{n}.mcap") for n in range(5)))
    dispatcher = world.dispatcher()
    for _ in range(8):
        for run_id in world.airflow.open_runs():
            items = [item["key"] for item in world.conf(run_id)]
            done = items[: items.index("2.mcap")] if "2.mcap" in items else items
            world.convert(run_id, keys=done, state="failed" if "2.mcap" in items else "success")
        states = world.turn(dispatcher)
    assert states == {"0.mcap": "done", "1.mcap": "done", "2.mcap": "dead", "3.mcap": "done", "4.mcap": "done"}
    killer = next(row for row in world.ledger.rows() if row["key"] == "2.mcap")
    assert (killer["attempt"], killer["crashes"], "3 times" in killer["reason"]) == (3, 3, True)
    runs_of_killer = [len(world.conf(run)) for run in world.airflow.runs if "2.mcap" in str(world.conf(run))]
    assert runs_of_killer == [5, 1, 1]


def test_transient_failure_pauses_and_costs_no_attempt(world):
    world.ledger.record(event("a.mcap"))
    dispatcher = world.dispatcher()
    for _ in range(4):
        assert world.turn(dispatcher) == {"a.mcap": "dispatched"}
        world.end_all(Report(Outcome.TRANSIENT, "503"), "failed")
        assert world.turn(dispatcher) == {"a.mcap": "received"}
        (row,) = world.ledger.rows("SELECT *, due_at > now() AS pauses FROM objects")
        assert (row["crashes"], row["alone"], row["pauses"]) == (0, False, True)
    assert row["transient_since"] is not None
    world.turn(dispatcher)
    world.end_all(CONVERTED)
    assert world.turn(dispatcher) == {"a.mcap": "done"}
    assert world.ledger.rows()[0]["transient_since"] is None


def test_object_is_not_claimed_before_it_is_due(world):
    world.ledger.record(event("a.mcap"))
    world.ledger.execute("UPDATE objects SET due_at = now() + interval '1 hour'")
    world.dispatcher().step()
    assert world.airflow.runs == {}


@pytest.mark.parametrize(("seen_again", "state"), [(False, "superseded"), (True, "dispatched")])
def test_version_seen_again_in_flight_is_run_again_when_it_was_superseded(world, seen_again, state):
    world.ledger.record(event("a.mcap"))
    dispatcher = world.dispatcher()
    dispatcher.step()
    if seen_again:
        world.ledger.record(event("a.mcap", sequencer="s2"))
    world.end_all(Report(Outcome.SUPERSEDED, "412"))
    assert world.turn(dispatcher) == {"a.mcap": state}


# Airflow's answers


@pytest.mark.parametrize("fault", [Fault.ERROR_AFTER, Fault.CUT_AFTER])
def test_ambiguous_answer_sends_the_same_run_again_and_409_means_that_it_is_there(world, fault):
    world.ledger.record(event("a.mcap"))
    world.airflow.faults.append(fault)
    dispatcher = world.dispatcher()
    dispatcher.step()
    assert world.turn(dispatcher) == {"a.mcap": "dispatched"}
    (run_id,) = world.airflow.runs
    assert world.airflow.triggers == [(run_id, fault.value), (run_id, 409)]


def test_run_id_that_belongs_to_other_objects_is_given_up(world):
    """After a restore from a backup the ledger may give an id to an object that another one had."""
    world.ledger.record(event("a.mcap"))
    world.airflow.faults.append(Fault.CUT_AFTER)
    dispatcher = world.dispatcher()
    dispatcher.step()
    (taken,) = world.airflow.runs
    world.airflow.confs[taken] = {"run": taken, "objects": []}
    world.turn(dispatcher)
    assert world.turn(dispatcher) == {"a.mcap": "dispatched"}
    assert [run for run in world.airflow.runs if run != taken] == [world.ledger.rows()[0]["run_id"]]


def test_run_that_failed_before_its_409_is_closed_by_its_reports(world):
    world.ledger.record(event("a.mcap"))
    world.airflow.faults.append(Fault.CUT_AFTER)
    world.airflow.on_created = lambda run_id: world.convert(run_id, state="failed")
    dispatcher = world.dispatcher()
    dispatcher.step()
    world.turn(dispatcher)
    assert world.turn(dispatcher) == {"a.mcap": "done"}


@pytest.mark.parametrize("fault", [Fault.ERROR_BEFORE, Fault.UNAVAILABLE, Fault.TOO_MANY, Fault.FORBIDDEN])
def test_refused_trigger_is_repeated_with_the_same_id(world, fault):
    world.ledger.record(event("a.mcap"))
    world.airflow.faults.append(fault)
    dispatcher = world.dispatcher()
    dispatcher.step()
    assert world.ledger.states() == {"a.mcap": "claimed"}
    assert world.turn(dispatcher) == {"a.mcap": "dispatched"}
    (run_id,) = world.airflow.runs
    assert world.airflow.triggers == [(run_id, fault.value), (run_id, 200)]


def test_expired_token_is_renewed_once(world):
    world.ledger.record(event("a.mcap"))
    dispatcher = world.dispatcher()
    dispatcher.step()
    world.airflow.expire_tokens()
    world.ledger.record(event("b.mcap"))
    assert world.turn(dispatcher) == {"a.mcap": "dispatched", "b.mcap": "dispatched"}
    assert world.airflow.logins == 2


def test_wrong_account_holds_the_route_and_says_so(world):
    world.airflow.settings = world.airflow.settings.model_copy(update={"user": "stranger"})
    world.ledger.record(event("a.mcap"))
    world.dispatcher().step()
    assert world.ledger.states() == {"a.mcap": "received"}
    assert "check AIRFLOW_USER" in str(held(world))


@pytest.mark.parametrize(
    ("dags", "reason"),
    [({}, "Airflow has no DAG recording_to_csv"), ({"recording_to_csv": True}, "DAG recording_to_csv is paused")],
)
def test_missing_or_paused_dag_holds_its_rows_and_says_so_until_it_is_there(world, dags, reason):
    world.airflow.dags = dags
    world.ledger.record(event("a.mcap"))
    dispatcher = world.dispatcher()
    dispatcher.step()
    assert world.ledger.states() == {"a.mcap": "received"}
    assert held(world) == reason
    with world.ledger.engine.begin() as connection:
        seen = backlog(connection, Routes([world.route], output_bucket=OUTPUT)).routes["recordings"]
    assert (seen.held, seen.waits_for) == (reason, reason)
    world.airflow.dags = {"recording_to_csv": False}
    eventually(lambda: dispatcher.step() or held(world) is None)
    assert world.ledger.states() == {"a.mcap": "dispatched"}


def test_dag_that_vanishes_between_claim_and_trigger_costs_nothing(world):
    world.ledger.record(event("a.mcap"))
    dispatcher = world.dispatcher()
    world.airflow.on_created = lambda _: world.airflow.dags.clear()
    dispatcher.step()
    world.ledger.record(event("b.mcap"))
    dispatcher.step()
    assert world.ledger.states() == {"a.mcap": "dispatched", "b.mcap": "claimed"}
    assert held(world) == "Airflow has no DAG recording_to_csv"
    world.airflow.dags["recording_to_csv"] = False
    assert world.turn(dispatcher) == {"a.mcap": "dispatched", "b.mcap": "dispatched"}


def test_airflow_that_is_down_is_left_alone_for_a_while_and_nothing_is_lost(world):
    world.ledger.record(*(event(f"{n}.mcap") for n in range(3)))
    world.airflow.down = True
    dispatcher = world.dispatcher(batch_limit=1)
    for _ in range(10):
        world.turn(dispatcher)
    assert "Airflow does not answer" in str(held(world))
    world.airflow.down = False
    eventually(lambda: set(world.turn(dispatcher).values()) == {"dispatched"}, seconds=25)
    assert held(world) is None


def test_run_that_airflow_lost_is_closed_when_all_reports_are_there(world):
    world.ledger.record(event("a.mcap"))
    dispatcher = world.dispatcher()
    dispatcher.step()
    (run_id,) = world.airflow.runs
    world.convert(run_id)
    del world.airflow.runs[run_id]
    assert world.turn(dispatcher) == {"a.mcap": "done"}


def test_run_that_airflow_lost_is_sent_again_with_the_same_id(world):
    world.ledger.record(event("a.mcap"))
    dispatcher = world.dispatcher()
    dispatcher.step()
    (run_id,) = world.airflow.runs
    world.airflow.runs.clear()
    world.turn(dispatcher)
    world.turn(dispatcher)
    assert world.airflow.triggers == [(run_id, 200), (run_id, 200)]
    world.convert(run_id)
    assert world.turn(dispatcher) == {"a.mcap": "done"}


# Events without ETag


def test_event_without_etag_is_resolved_and_run(world):
    etag = world.store.put("raw-data", "unresolved/a.mcap", b"1234")
    world.ledger.record(event("unresolved/a.mcap", etag=None))
    world.dispatcher().step()
    (row,) = world.ledger.rows()
    assert (row["etag"], row["size"], row["state"]) == (etag, 4, "dispatched")


def test_event_without_etag_about_nothing_is_gone_and_may_come_back(world):
    world.ledger.record(event("unresolved/b.mcap", etag=None))
    world.dispatcher().step()
    assert world.ledger.states() == {"unresolved/b.mcap@": "gone"}
    world.ledger.record(event("unresolved/b.mcap", etag=None))
    assert world.ledger.states() == {"unresolved/b.mcap@": "unresolved"}


def test_event_without_etag_about_a_known_version_joins_its_row(world):
    etag = world.store.put("raw-data", "unresolved/c.mcap", b"1")
    world.ledger.record(event("unresolved/c.mcap", etag=etag), event("unresolved/c.mcap", etag=None))
    world.dispatcher().step()
    assert world.ledger.states() == {f"unresolved/c.mcap@{etag}": "dispatched"}
    assert len(world.airflow.runs) == 1


# Crashes: the dispatcher in a process of its own


@pytest.mark.parametrize("place", ["dispatch.claimed", "dispatch.triggered", "dispatch.closing"])
def test_dispatcher_killed_between_two_steps_makes_no_second_run_and_loses_nothing(world, store, place):
    world.ledger.record(*(event(f"{n}.mcap") for n in range(3)))
    world.airflow.on_created = world.convert
    environment = world.environment(store.environment)
    dead = run_module("scripts.dispatch_events", environment=environment | {"FIELDPIPE_CRASH_AT": place})
    assert dead.returncode == -signal.SIGKILL
    alive = subprocess.Popen([sys.executable, "-m", "scripts.dispatch_events"], cwd=ROOT, env=environment)
    try:
        eventually(lambda: set(world.ledger.states().values()) == {"done"}, seconds=20)
    finally:
        alive.send_signal(signal.SIGTERM)
        assert alive.wait(10) == 0
    assert len(world.airflow.runs) == 1


def test_dispatcher_shows_that_it_is_alive_even_while_it_can_do_nothing(world, store, tmp_path):
    file = tmp_path / "alive"
    nowhere = {"FIELDPIPE_LEDGER_URL": "postgresql+psycopg2://x@127.0.0.1:9/none"}
    command = [sys.executable, "-m", "scripts.dispatch_events", "--alive", str(file)]
    process = subprocess.Popen(command, cwd=ROOT, env=world.environment(store.environment) | nowhere)
    try:
        for _ in range(2):
            eventually(file.exists, seconds=20)
            file.unlink()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def test_dispatcher_that_lost_its_lease_changes_nothing(world):
    world.ledger.record(event("a.mcap"))
    sleeper, other = world.ledger.ledger(lease_seconds=0.0), world.ledger.ledger()
    run = sleeper.claim(world.route)
    assert run is not None
    (taken,) = other.lease_due(10)
    sleeper.mark_dispatched(run)
    sleeper.postpone(run, 3600)
    assert world.ledger.states() == {"a.mcap": "claimed"}
    other.mark_dispatched(taken)
    world.ledger.execute("UPDATE runs SET due_at = now()")
    (taken,) = other.lease_due(10)
    assert sleeper.close(run, {taken.conf["objects"][0]["id"]: CONVERTED}, "success") is None
    assert world.ledger.states() == {"a.mcap": "dispatched"}


def test_notified_dispatcher_starts_at_once(world):
    stop = threading.Event()
    thread = threading.Thread(target=world.dispatcher().run, args=[stop])
    thread.start()
    try:
        for n in range(5):
            eventually(lambda: world.ledger.rows("SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"))
            world.ledger.record(event(f"{n}.mcap"))
            eventually(lambda n=n: len(world.airflow.runs) == n + 1, seconds=3)
            world.end_all(CONVERTED)
    finally:
        stop.set()
        thread.join(10)
