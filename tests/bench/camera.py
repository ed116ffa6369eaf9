"""Benchmarks of the camera backup, with the goals they are held against.

    python -m tests.bench.camera                       # all: about ten minutes on a quiet machine with two cores
    python -m tests.bench.camera frames                # one of them
    python -m tests.bench.camera --objects 1000000     # restart in a bucket with a million objects: 15 minutes more
    python -m tests.bench.camera --quick               # less of everything: a look, not a measurement

frames   frames of 100 KB, against a consumer that puts image and time of each record and commits
backlog  5 GB in frames of 5 MB: the most memory it takes
restart  from the start of the process to its first object, in a bucket that is full of earlier ones

Apache Kafka (Java and Maven) and MinIO where they can be had, else the embedded stack's broker and store.
"""

import argparse
import signal
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from fieldpipe import errors
from tests.bench.camera_field import Field, field
from tests.bench.camera_race import race
from tests.bench.camera_restart import restarts
from tests.bench.convert_page import table
from tests.bench.progress import say
from tests.bench.table import Figure, Machine, render, rows

PARTS = ("frames", "backlog", "restart")
PACKAGES = ("kafka-python", "minio", "crc32c")
MEGABYTE = 1024 * 1024
LARGE = 5_000_000  # bytes of a large frame


@dataclass(frozen=True)
class Amounts:
    """How much of each."""

    frames: int = 2000
    theirs: int = 1000
    rounds: int = 3
    backlog: int = 1000  # large frames
    objects: int = 100_000
    restarts: int = 5


QUICK = Amounts(500, 200, 2, 100, 10_000, 2)


def main() -> int:
    """Measure and print the table. Exit code 0 whatever the figures are: they are for people to judge."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.camera", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=PARTS, help="only this one")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--objects", type=int, help="how many the bucket holds before the restart")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is stopped
    amounts = QUICK if arguments.quick else Amounts()
    objects = arguments.objects or amounts.objects
    machine = Machine.now()
    print(machine.describe(PACKAGES), flush=True)
    with field() as servers:
        figures = measure(servers, [arguments.part] if arguments.part else PARTS, amounts, objects)
        described = servers.describe()
    print(f"\n{render(figures, machine, PACKAGES)}\n{described}\n\n{table(rows(figures))}")
    return 0


def measure(servers: Field, parts: Sequence[str], amounts: Amounts, objects: int) -> list[Figure]:
    """Run the parts."""
    figures: list[Figure] = []
    if "frames" in parts:
        figures += frame_figures(servers, amounts)
    if "backlog" in parts:
        figures += backlog_figures(servers, amounts.backlog)
    if "restart" in parts:
        figures += restart_figures(servers, objects, amounts.restarts)
    return figures


def frame_figures(servers: Field, amounts: Amounts) -> list[Figure]:
    """Side by side."""
    say(f"{amounts.frames} frames of 100 KB, {amounts.rounds} times; the other gets {amounts.theirs} of them")
    found = race(servers, amounts.frames, amounts.theirs, amounts.rounds)
    ratio = found.ours / found.theirs
    return [
        Figure(
            "frames per second against the other's",
            f"{ratio:.1f}x ({found.ours:.0f} / {found.theirs:.0f})",
            ">= 5x",
            ratio >= 5,
        ),
        Figure(f"  slowest to fastest of {amounts.rounds}", found.spread),
        Figure("  peak memory", f"{found.peak / MEGABYTE:.0f} MB, the other's {found.their_peak / MEGABYTE:.0f} MB"),
    ]


def backlog_figures(servers: Field, frames: int) -> list[Figure]:
    """One backup of very much."""
    gigabytes = frames * LARGE / 1e9
    say(f"a backlog of {gigabytes:.1f} GB")
    topic = servers.topic()
    servers.send(topic, frames, LARGE)
    say("backing it up")
    run = servers.back_up(topic, servers.bucket())
    servers.kafka.delete_topic(topic)
    peak = run.peak / MEGABYTE
    return [
        Figure(f"peak memory, {gigabytes:.1f} GB in frames of 5 MB", f"{peak:.0f} MB", "<= 256 MB", peak <= 256),
        Figure("  it took", f"{run.seconds:.0f} s, {frames * LARGE / 1e6 / run.seconds:.0f} MB/s"),
    ]


def restart_figures(servers: Field, objects: int, repetitions: int) -> list[Figure]:
    """A bucket with a past."""
    seconds = []
    for each in restarts(servers, objects, repetitions):
        seconds.append(each)
        say(f"restart: {each:.2f} s")
    median = statistics.median(seconds)
    value = f"{median:.2f} s (of {len(seconds)}, the slowest {max(seconds):.2f} s)"
    return [Figure(f"restart to first object, {objects:,} objects", value, "<= 5 s", median <= 5)]


if __name__ == "__main__":
    errors.run(main)
