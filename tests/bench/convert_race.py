"""Ours and others' on the same recordings, in turns, so that what else the machine does hits all alike."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fieldpipe.errors import PermanentError
from tests.bench.convert_data import Recording
from tests.bench.convert_peers import Peer, prepare
from tests.bench.convert_run import Bench, Usage
from tests.bench.progress import say

OURS = "Fieldpipe"


@dataclass(frozen=True, slots=True)
class Course:
    """Recordings of one kind: `start` is so short that starting is all it takes, `part` is what others get unless they
    get the `whole`."""

    kind: str
    start: Recording
    part: Recording
    whole: Recording


@dataclass(slots=True)
class Runner:
    """One program and what its runs took, by recording."""

    name: str
    command: Callable[[Path, Path], list[str]]
    peer: Peer | None = None
    watch_memory: bool = True
    runs: dict[Recording, list[Usage]] = field(default_factory=dict)

    def run(self, bench: Bench, recording: Recording) -> None:
        """Once more. Raises PermanentError if there is not a row for every message."""
        usage = bench.run(self.command(recording.path, bench.out), watch_memory=self.watch_memory)
        if usage.rows != recording.messages:
            raise PermanentError(
                f"{self.name} wrote {usage.rows} rows for the {recording.messages} messages of {recording.path.name}"
            )
        self.runs.setdefault(recording, []).append(usage)
        say(f"{self.name}, {recording.messages:,} messages: {usage.cpu:.2f} CPU s")

    def median(self, recording: Recording, value: str) -> float:
        """Of the runs on a recording."""
        return statistics.median(getattr(usage, value) for usage in self.runs[recording])

    def cpu(self, course: Course) -> tuple[float, bool]:
        """CPU seconds for the whole, and whether that was measured.

        Otherwise the line through start and part is drawn on: starting counts once, messages by their number.
        """
        if course.whole in self.runs:
            return self.median(course.whole, "cpu"), True
        start, part = self.median(course.start, "cpu"), self.median(course.part, "cpu")
        each = (part - start) / (course.part.messages - course.start.messages)
        return part + each * (course.whole.messages - course.part.messages), False

    def longest(self, course: Course) -> Recording:
        """The longest recording that it was run on."""
        return course.whole if course.whole in self.runs else course.part


@dataclass(frozen=True, slots=True)
class Race:
    """The result."""

    course: Course
    ours: Runner
    others: list[Runner]


def race(
    bench: Bench,
    course: Course,
    peers: Sequence[Peer],
    *,
    rounds: int,
    full: bool,
    between: Callable[[Runner], None] | None = None,
) -> Race:
    """After every run of another's program comes one of ours on the whole recording, three after a long one or the only
    other's.

    `between` ends a round; it gets ours.
    """
    ours = Runner(OURS, ours_command)
    others = [Runner(peer.name, peer.command, peer) for peer in peers]
    for peer in peers:
        prepare(peer)
    for _ in range(rounds):
        for other in others:
            for recording in (course.whole,) if full else (course.start, course.part):
                other.run(bench, recording)
            for _ in range(3 if full or len(others) == 1 else 1):
                ours.run(bench, course.whole)
        for recording in (course.start, course.part):
            ours.run(bench, recording)
        if between:
            between(ours)
    return Race(course, ours, others)


def ours_command(recording: Path, folder: Path) -> list[str]:
    """As a person starts it."""
    return [sys.executable, "-m", "scripts.convert_recording", str(recording), "--out", str(folder)]
