"""What the dispatcher decides, without the world: which objects share a run, what a run's end means for each, when
to try again. Times are seconds; `chance` is a random number in [0, 1), handed in."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fieldpipe.events.states import State
from fieldpipe.handover import Outcome, Report, WorkItem, encode_work

MAX_WORK = 64 * 1024  # bytes of a run's object list; the kernel takes 128 KiB in one variable
CRASHES = 3  # runs without a report that an object may cost
TRANSIENT_FOR = 7 * 24 * 3600.0  # how long transient failures are repeated

_BACKOFF = (2.0, 600.0)  # first and longest pause after a transient failure
_RESEND = (0.5, 20.0)  # after an ambiguous answer of Airflow
_POLL = (0.5, 5.0)  # between two looks at a run


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may go into a run."""

    item: WorkItem
    size: int  # bytes; 0 when nobody said
    alone: bool
    attempt: int  # of the claim that is about to be made


@dataclass(frozen=True, slots=True)
class Member:
    """A row of a run that has ended."""

    id: int
    attempt: int
    crashes: int
    seen_again: bool
    transient_for: float  # since the first of the transient failures in a row; 0 when there is none


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a row."""

    id: int
    state: State
    reason: str = ""
    result: str | None = None  # key of the manifest
    delay: float = 0.0  # before it is due again
    crashed: bool = False
    transient: bool = False


def take_batch(candidates: Sequence[Candidate], *, limit: int, max_bytes: int) -> list[Candidate]:
    """The candidates, oldest first, that make up the next run. An object that once took its pod down runs alone."""
    if not candidates or candidates[0].alone:
        return list(candidates[:1])
    batch: list[Candidate] = []
    size = work = 0
    for candidate in candidates:
        if candidate.alone:
            continue
        size += candidate.size
        work += len(encode_work([candidate.item]))
        if batch and (len(batch) == limit or size > max_bytes or work > MAX_WORK):
            break
        batch.append(candidate)
    return batch


def run_id(route: str, members: Iterable[tuple[int, int]]) -> str:
    """The id of the run of these (object id, attempt) pairs: the same for the same members, and no other."""
    text = ",".join(f"{object_id}:{attempt}" for object_id, attempt in sorted(members))
    return f"fp.{route}.{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def judge(member: Member, report: Report | None, run_state: str, chance: float) -> Verdict:
    """What the end of a run means for one of its rows. `report` is None when the pod did not get to say anything."""
    if report is None:
        return _crashed(member, run_state, chance)
    match report.outcome:
        case Outcome.CONVERTED:
            return Verdict(member.id, State.DONE, report.reason, result=report.manifest)
        case Outcome.REJECTED:
            return Verdict(member.id, State.DEAD, report.reason or "rejected without a reason")
        case Outcome.GONE | Outcome.SUPERSEDED if member.seen_again:
            return Verdict(member.id, State.RECEIVED, f"{report.outcome}, but seen again meanwhile")
        case Outcome.GONE:
            return Verdict(member.id, State.GONE, report.reason)
        case Outcome.SUPERSEDED:
            return Verdict(member.id, State.SUPERSEDED, report.reason)
        case Outcome.TRANSIENT:
            return _transient(member, report.reason, chance)


def _crashed(member: Member, run_state: str, chance: float) -> Verdict:
    reason = f"no report: the run ended as {run_state} before the pod said anything about this object"
    if member.crashes + 1 >= CRASHES:
        return Verdict(member.id, State.DEAD, f"{reason}, {CRASHES} times", crashed=True)
    delay = full_jitter(member.crashes, _BACKOFF, chance)
    return Verdict(member.id, State.RECEIVED, reason, delay=delay, crashed=True)


def _transient(member: Member, reason: str, chance: float) -> Verdict:
    if member.transient_for >= TRANSIENT_FOR:
        return Verdict(member.id, State.DEAD, f"failing for 7 days: {reason}")
    delay = full_jitter(member.attempt - 1, _BACKOFF, chance)
    return Verdict(member.id, State.RECEIVED, reason, delay=delay, transient=True)


def full_jitter(failures: int, pause: tuple[float, float], chance: float) -> float:
    """Seconds to wait after so many failures in a row: anything up to a bound that doubles. See AWS' "Exponential
    backoff and jitter"."""
    first, longest = pause
    return chance * min(longest, first * 2.0 ** min(failures, 30))


def resend_delay(failures: int, chance: float) -> float:
    """Before a run is sent again whose sending had no clear answer."""
    return full_jitter(failures, _RESEND, chance)


def poll_delay(age: float) -> float:
    """Until the next look at a run that was sent `age` seconds ago: a tenth of what it has taken so far."""
    shortest, longest = _POLL
    return min(longest, max(shortest, age / 10))
