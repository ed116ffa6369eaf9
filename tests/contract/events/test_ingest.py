"""Events into the ledger, on a real PostgreSQL."""

import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from fieldpipe.events.announce import notification
from fieldpipe.events.database import Unstorable
from fieldpipe.events.notification import Event, Status
from fieldpipe.events.receive import LOOP_GUARD, NO_ROUTE, Receiver
from fieldpipe.events.routes import load_routes
from fieldpipe.store import ObjectInfo
from tests.contract.events.world import OUTPUT, LedgerWorld, body, event
from tests.unit.events.hostile_keys import HOSTILE_KEYS


@pytest.fixture
def receiver(ledger: LedgerWorld) -> Receiver:
    return Receiver(ledger.engine, load_routes(None, output_bucket=OUTPUT))


def test_event_becomes_a_row_that_waits(ledger, receiver):
    (answer,) = receiver.receive(body("a%2Frun.MCAP"))
    assert (answer.status, answer.key) == (Status.RECORDED, "a/run.MCAP")
    (row,) = ledger.rows()
    kept = ("route", "bucket", "key", "etag", "version_id", "size", "sequencer", "event_name", "source", "state")
    assert tuple(row[name] for name in kept) == (
        "recordings", "raw-data", "a/run.MCAP", "e1", "v1", 5, "s1", "ObjectCreated:Put", "minio", "received",
    )  # fmt: skip


def test_answers_keep_the_order_of_the_records(receiver):
    records = [
        *json.loads(body("a.mcap"))["Records"],
        *json.loads(body("a.txt"))["Records"],
        {"s3": "nonsense"},
        *json.loads(body("a.mcap"))["Records"],
        *json.loads(body("b.mcap", bucket=OUTPUT))["Records"],
        *json.loads(body("b.mcap"))["Records"],
    ]
    answers = receiver.receive(json.dumps({"Records": records}).encode())
    assert [(answer.status.value, answer.reason) for answer in answers] == [
        ("recorded", ""),
        ("ignored", NO_ROUTE),
        ("dead", "a record without s3.bucket.name and s3.object.key"),
        ("duplicate", ""),
        ("ignored", LOOP_GUARD),
        ("recorded", ""),
    ]


def test_thousand_duplicates_from_sixteen_threads_of_two_receivers_are_one_row(ledger):
    receivers = [Receiver(ledger.engine, load_routes(None, output_bucket=OUTPUT)) for _ in range(2)]
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(lambda n: receivers[n % 2].receive(body("run.mcap"))[0].status, range(1000))
        assert Counter(answers) == {Status.RECORDED: 1, Status.DUPLICATE: 999}
    assert ledger.states() == {"run.mcap": "received"}


def test_overlapping_bodies_in_opposite_orders_do_not_deadlock(ledger):
    receivers = [Receiver(ledger.engine, load_routes(None, output_bucket=OUTPUT)) for _ in range(2)]
    infos = [ObjectInfo("raw-data", f"{n}.mcap", 1, "e1", None) for n in range(200)]
    there, back = (json.dumps(notification(order)).encode() for order in (infos, infos[::-1]))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: receivers[n % 2].receive([there, back][n % 2]), range(16)))
    assert sum(answer.status is Status.RECORDED for each in answers for answer in each) == 200


def test_another_etag_is_another_row(ledger):
    assert ledger.record(event("a.mcap"), event("a.mcap", etag="e2")) == [Status.RECORDED, Status.RECORDED]


def test_event_without_etag_waits_to_be_resolved(ledger):
    manual = Event("raw-data", "test.mcap", None, "ObjectCreated:Put", "manual")
    assert ledger.record(manual, manual) == [Status.RECORDED, Status.DUPLICATE]
    assert ledger.states() == {"test.mcap@": "unresolved"}


@pytest.mark.parametrize("state", ["gone", "superseded"])
def test_version_that_was_gone_comes_back_with_a_new_sequencer_only(ledger, state):
    ledger.record(event("a.mcap"))
    force(ledger, "dispatched", state)
    assert ledger.record(event("a.mcap")) == [Status.DUPLICATE]
    assert ledger.record(event("a.mcap", sequencer="s2", version_id="v2")) == [Status.RECORDED]
    (row,) = ledger.rows()
    assert (row["state"], row["reason"], row["version_id"], row["sequencer"]) == ("received", "seen again", "v2", "s2")


@pytest.mark.parametrize("state", ["claimed", "dispatched"])
def test_version_seen_again_in_flight_is_noted(ledger, state):
    ledger.record(event("a.mcap"))
    force(ledger, *["claimed", "dispatched"][: ["claimed", "dispatched"].index(state) + 1])
    assert ledger.record(event("a.mcap", sequencer="s2")) == [Status.DUPLICATE]
    (row,) = ledger.rows()
    assert (row["state"], row["seen_again"]) == (state, True)


@pytest.mark.parametrize("state", ["done", "dead"])
def test_finished_version_is_final_for_events(ledger, state):
    ledger.record(event("a.mcap"))
    force(ledger, "dispatched", state)
    assert ledger.record(event("a.mcap", sequencer="s2")) == [Status.DUPLICATE]
    assert ledger.states() == {"a.mcap": state}


def test_body_that_can_never_be_accepted_is_kept_once(ledger, receiver):
    poison = b'{"Records": "\\u0000' + b"x" * 100_000
    for _ in range(3):
        (answer,) = receiver.receive(poison)
        assert (answer.status, answer.reason) == (Status.DEAD, "not JSON: JSONDecodeError")
    (row,) = ledger.rows("SELECT * FROM rejected")
    assert (row["count"], row["size"], bytes(row["body"]), row["reason"]) == (
        3, len(poison), poison[: 64 * 1024], "not JSON: JSONDecodeError",
    )  # fmt: skip


def test_event_that_the_database_does_not_take_is_dead_and_blocks_nothing(ledger, receiver):
    """Whatever parsing overlooks: here a trigger that knows a key that we do not."""
    ledger.execute(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '22P05'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON objects
        FOR EACH ROW WHEN (NEW.key = 'poison.mcap') EXECUTE FUNCTION refuse()
        """
    )
    try:
        (answer,) = receiver.receive(body("poison.mcap"))
        assert (answer.status, "not this one" in answer.reason) == (Status.DEAD, True)
        assert receiver.receive(body("behind.mcap"))[0].status is Status.RECORDED
    finally:
        ledger.execute("DROP FUNCTION refuse CASCADE")
    assert [row["count"] for row in ledger.rows("SELECT count FROM rejected")] == [1]


@pytest.mark.parametrize("key", ["a\0b.mcap", "a\ud800b.mcap"])
def test_text_that_no_database_holds_is_told_from_a_database_that_is_down(ledger, key):
    with pytest.raises(Unstorable):
        ledger.record(event(key))


def test_every_hostile_key_is_stored_as_it_is(ledger, receiver):
    infos = [ObjectInfo("raw-data", key, 1, "e1", None) for key in HOSTILE_KEYS]
    receiver.receive(json.dumps(notification(infos)).encode())
    wanted = {k for k in HOSTILE_KEYS if k.lower().endswith(".mcap") and not k.startswith("_runs/")}
    assert {row["key"] for row in ledger.rows()} == wanted


def test_longest_identity_fits_into_its_index(ledger, receiver):
    letters = random.Random(1)
    key = "".join(chr(letters.randrange(0x4E00, 0x9000)) for _ in range(339)) + ".mcap"
    (answer,) = receiver.receive(body(key, etag="".join(letters.choices("0123456789abcdef", k=256))))
    assert answer.status is Status.RECORDED


def force(ledger: LedgerWorld, *states: str) -> None:
    """Move all rows through these states, starting with a claim."""
    for state in ("claimed", *(each for each in states if each != "claimed")):
        ledger.execute("UPDATE objects SET state = :state", state=state)
