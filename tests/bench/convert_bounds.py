"""What the converter is held to besides others' programs: the floor, its threads, its start, pictures, and memory."""

from __future__ import annotations

import json
import statistics
import sys

from tests.bench.convert_data import SEED, Recording
from tests.bench.convert_floor import PARTS
from tests.bench.convert_race import OURS, Runner, ours_command
from tests.bench.convert_robot import SMALL_RATE, doubles
from tests.bench.convert_run import Bench, megabytes
from tests.bench.processors import round_trip
from tests.bench.progress import say
from tests.bench.table import Figure

MEMORY = 200_000_000  # bytes
FIRST = 0.25  # seconds
PAIRS = 3  # of runs with one worker and with two, a round
AT_A_TIME = 2  # measurements of each floor


class Floor:
    """The floor of small ROS 2 messages, plain and with what makes ours fast, measured as often as asked."""

    def __init__(self, bench: Bench, recording: Recording) -> None:
        self._bench = bench
        self._recording = recording
        self._doubles = len(doubles(SEED, seconds=1)) * recording.messages // SMALL_RATE
        self._plain: list[dict[str, float]] = []
        self._as_ours: list[dict[str, float]] = []

    def measure(self, ours: Runner) -> None:
        """Some more times, for as many bytes as ours wrote."""
        written = ours.runs[self._recording][-1].written
        program = [sys.executable, "-m", "tests.bench.convert_floor"]
        taken = [str(self._recording.path), str(written), str(self._doubles), str(self._bench.out)]
        for runs, more in ((self._plain, []), (self._as_ours, ["ours"])) * AT_A_TIME:
            self._bench.run([*program, *taken, *more])
            runs.append(json.loads(self._bench.said()))
            say(f"{' '.join(['the floor', *more])}: {sum(runs[-1][part] for part in PARTS):.2f} CPU s")

    @property
    def seconds(self) -> float:
        """CPU seconds of the plain one: the sum of its parts' medians."""
        return _seconds(self._plain)

    def figures(self, cpu: float) -> list[Figure]:
        """Against the CPU seconds of ours."""
        ratio, own = cpu / self.seconds, cpu / _seconds(self._as_ours)
        return [
            Figure(
                "times the floor", f"{ratio:.2f} ({cpu:.2f} s / {self.seconds:.2f} s)", "<= 1.8, aim 1.2", ratio <= 1.8
            ),
            Figure("  its parts, CPU s", f"{_parts(self._plain)} ({self._doubles / 1e6:.1f} M doubles)"),
            Figure(
                "  times a floor with what makes ours fast",
                f"{own:.2f} ({cpu:.2f} s / {_seconds(self._as_ours):.2f} s)",
            ),
            Figure("  its parts, CPU s", _parts(self._as_ours)),
            Figure("  SHA-256 of the results, CPU s", f"{_part(self._plain, 'sha256'):.2f} (in neither floor)"),
        ]


def _part(runs: list[dict[str, float]], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def _seconds(runs: list[dict[str, float]]) -> float:
    return sum(_part(runs, name) for name in PARTS)


def _parts(runs: list[dict[str, float]]) -> str:
    return ", ".join(f"{name} {_part(runs, name):.2f}" for name in PARTS)


def memory(name: str, runner: Runner, recording: Recording) -> Figure:
    """The most private memory of all runs."""
    private = max(usage.private for usage in runner.runs[recording])
    return Figure(f"private memory, {name}", megabytes(private), f"<= {megabytes(MEMORY)}", private <= MEMORY)


def large(bench: Bench, recording: Recording) -> list[Figure]:
    """One run on a recording of many gigabytes."""
    ours = Runner(OURS, ours_command)
    ours.run(bench, recording)
    usage = ours.runs[recording][0]
    name = f"{recording.size / 1e9:.1f} GB"
    return [
        memory(name, ours, recording),
        Figure(f"  {name}, {recording.messages:,} messages", f"{usage.wall:.0f} s, {usage.cpu:.0f} CPU s"),
    ]


def workers(bench: Bench, recording: Recording, rounds: int) -> list[Figure]:
    """Two threads against one, by the clock on the wall: the median of many pairs of runs, one after the other.

    A host that moves the processors, or gives them less time, does so for seconds: for both runs of a pair.
    """
    runners = [
        Runner(
            f"{OURS}, workers: {count}",
            lambda *paths, count=count: [*ours_command(*paths), "--workers", str(count)],
            watch_memory=False,  # that would take a part of a core
        )
        for count in (1, 2)
    ]
    distances = []
    for _ in range(PAIRS * rounds):
        for runner in runners:
            runner.run(bench, recording)
            distances.append(round_trip())
    pairs = zip(*(runner.runs[recording] for runner in runners), strict=True)
    ratios = [one.wall / two.wall for one, two in pairs]
    ratio = statistics.median(ratios)
    seconds = ", ".join(f"{runner.median(recording, 'wall'):.2f} s" for runner in runners)
    return [
        Figure("two workers against one, wall", f"{ratio:.2f}x ({seconds})", ">= 1.7x", ratio >= 1.7),
        Figure("  of all pairs of runs", f"{min(ratios):.2f}x to {max(ratios):.2f}x, {len(ratios)} pairs"),
        *_distance([distance for distance in distances if distance]),
    ]


def _distance(seconds: list[float]) -> list[Figure]:
    if not seconds:
        return []
    least, median, most = (value(seconds) * 1e9 for value in (min, statistics.median, max))
    return [Figure("  a byte to the other processor and back", f"{median:.0f} ns ({least:.0f} to {most:.0f})")]


def start(bench: Bench, recording: Recording, rounds: int) -> list[Figure]:
    """From starting the process to the first byte of a result on disk."""
    command = ours_command(recording.path, bench.out)
    seconds = statistics.median(bench.run(command, watch_first=True).first for _ in range(rounds))
    return [Figure("start to first byte", f"{seconds:.2f} s", f"<= {FIRST} s", seconds <= FIRST)]


def camera(bench: Bench, recording: Recording, rounds: int) -> list[Figure]:
    """Pictures: our converter against a program that only copies them."""
    ours = Runner(OURS, ours_command)
    program = [sys.executable, "-m", "tests.bench.convert_copy"]
    copies = []
    bench.put_aside()
    for _ in range(rounds):
        ours.run(bench, recording)
        copies.append(bench.run([*program, str(recording.path), str(bench.out)]))
    bench.remove_aside()
    cpu, wall = ours.median(recording, "cpu"), ours.median(recording, "wall")
    copy_cpu = statistics.median(usage.cpu for usage in copies)
    copy_wall = statistics.median(usage.wall for usage in copies)
    name = f"{recording.messages:,} pictures against copying them"
    return [
        Figure(f"{name}, CPU", f"{cpu / copy_cpu:.2f}x ({cpu:.2f} s, {copy_cpu:.2f} s)", "<= 2x", cpu <= 2 * copy_cpu),
        Figure("  by the clock", f"{wall / copy_wall:.2f}x ({wall:.2f} s, {copy_wall:.2f} s)"),
        memory("pictures", ours, recording),
    ]
