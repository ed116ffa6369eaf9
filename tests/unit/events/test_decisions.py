"""What the dispatcher decides: batches, run ids, verdicts, pauses."""

import pytest

from fieldpipe.events.decisions import (
    CRASHES,
    MAX_WORK,
    TRANSIENT_FOR,
    Candidate,
    Member,
    Verdict,
    full_jitter,
    judge,
    poll_delay,
    run_id,
    take_batch,
)
from fieldpipe.events.states import TRANSITIONS, State
from fieldpipe.handover import Outcome, Report, WorkItem, encode_work


def candidate(number: int, *, size: int = 1, alone: bool = False, key: str = "k.mcap") -> Candidate:
    return Candidate(WorkItem("raw-data", key, "e", number), size, alone, attempt=1)


def ids(batch: list[Candidate]) -> list[int | None]:
    return [each.item.id for each in batch]


def member(*, crashes: int = 0, seen_again: bool = False, transient_for: float = 0.0, attempt: int = 1) -> Member:
    return Member(7, attempt, crashes, seen_again, transient_for)


def test_backlog_shares_runs_up_to_the_limit():
    assert ids(take_batch([candidate(n) for n in range(5)], limit=3, max_bytes=10**9)) == [0, 1, 2]


def test_lone_object_is_a_batch():
    assert ids(take_batch([candidate(1)], limit=100, max_bytes=1)) == [1]


def test_nothing_due_is_no_batch():
    assert take_batch([], limit=100, max_bytes=1) == []


def test_big_objects_do_not_pile_up_in_one_pod():
    big = [candidate(n, size=600) for n in range(3)]
    assert ids(take_batch(big, limit=100, max_bytes=1000)) == [0]


def test_object_above_the_bound_still_runs():
    assert ids(take_batch([candidate(1, size=10**12)], limit=100, max_bytes=1000)) == [1]


def test_work_list_fits_into_its_variable():
    longest = [candidate(n, key="$" * 1024) for n in range(100)]
    batch = take_batch(longest, limit=100, max_bytes=10**9)
    assert 1 < len(batch) < 100
    assert len(encode_work([each.item for each in batch])) <= MAX_WORK


def test_object_that_crashed_a_pod_runs_alone():
    due = [candidate(1, alone=True), candidate(2), candidate(3)]
    assert ids(take_batch(due, limit=100, max_bytes=10**9)) == [1]


def test_object_that_runs_alone_is_left_out_of_batches():
    due = [candidate(1), candidate(2, alone=True), candidate(3)]
    assert ids(take_batch(due, limit=100, max_bytes=10**9)) == [1, 3]


def test_run_id_depends_on_members_and_attempts_only():
    assert run_id("recordings", [(2, 1), (1, 1)]) == run_id("recordings", [(1, 1), (2, 1)])
    assert len({run_id("recordings", pairs) for pairs in ([(1, 1)], [(1, 2)], [(11, 1)], [(1, 1), (2, 1)])}) == 4


def test_run_id_is_spelt_as_the_protocol_says():
    # sha256("1:1,2:3")
    assert run_id("recordings", [(2, 3), (1, 1)]) == "fp.recordings.9ebbcc1906b58ae06e80338b"


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        (Report(Outcome.CONVERTED, manifest="a/manifest.json"), Verdict(7, State.DONE, result="a/manifest.json")),
        (Report(Outcome.REJECTED, "not_mcap"), Verdict(7, State.DEAD, "not_mcap")),
        (Report(Outcome.GONE, "404"), Verdict(7, State.GONE, "404")),
        (Report(Outcome.SUPERSEDED, "412"), Verdict(7, State.SUPERSEDED, "412")),
    ],
)
def test_report_decides(report, verdict):
    assert judge(member(), report, "success", 0.5) == verdict


@pytest.mark.parametrize("outcome", [Outcome.GONE, Outcome.SUPERSEDED])
def test_object_seen_again_in_flight_is_received_again(outcome):
    assert judge(member(seen_again=True), Report(outcome), "success", 0.5).state is State.RECEIVED


def test_object_seen_again_in_flight_but_converted_is_done():
    report = Report(Outcome.CONVERTED, manifest="m")
    assert judge(member(seen_again=True), report, "success", 0.5).state is State.DONE


def test_missing_report_costs_an_attempt_and_company():
    verdict = judge(member(), None, "failed", 0.5)
    assert (verdict.state, verdict.crashed, verdict.delay) == (State.RECEIVED, True, 1.0)


def test_last_missing_report_is_the_end():
    verdict = judge(member(crashes=CRASHES - 1), None, "failed", 0.5)
    assert (verdict.state, verdict.crashed) == (State.DEAD, True)
    assert "3 times" in verdict.reason


def test_transient_failure_waits_longer_each_time_and_costs_nothing():
    delays = [judge(member(attempt=n), Report(Outcome.TRANSIENT, "503"), "failed", 1.0).delay for n in (1, 2, 3, 50)]
    assert delays == [2.0, 4.0, 8.0, 600.0]


def test_transient_failures_end_after_seven_days():
    verdict = judge(member(transient_for=TRANSIENT_FOR), Report(Outcome.TRANSIENT, "503"), "failed", 0.5)
    assert (verdict.state, verdict.reason) == (State.DEAD, "failing for 7 days: 503")


@pytest.mark.parametrize("report", [None, *(Report(outcome, "r", "m") for outcome in Outcome)])
@pytest.mark.parametrize("seen_again", [False, True])
def test_every_verdict_is_a_move_that_the_state_machine_knows(report, seen_again):
    assert judge(member(seen_again=seen_again), report, "failed", 0.5).state in TRANSITIONS[State.DISPATCHED]


def test_full_jitter_spreads_up_to_a_bound_that_doubles():
    assert [full_jitter(n, (1.0, 10.0), 1.0) for n in range(6)] == [1, 2, 4, 8, 10, 10]
    assert full_jitter(10_000, (1.0, 10.0), 0.0) == 0.0


def test_young_runs_are_looked_at_often_and_old_ones_seldom():
    assert [poll_delay(age) for age in (0, 3, 20, 3600)] == [0.5, 0.5, 2.0, 5.0]
