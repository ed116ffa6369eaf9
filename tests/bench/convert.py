"""Benchmarks of the converter: against what others offer, against the floor, and where it must stay within bounds.

    python -m tests.bench.convert                  # all: about six minutes on a quiet machine with two cores
    python -m tests.bench.convert json camera      # some of it
    python -m tests.bench.convert --full           # others convert all messages too, instead of a part: longer
    python -m tests.bench.convert --large          # a recording of 10 GB as well; takes 25 GB of disk

ros2      a million small ROS 2 messages in zstd, against five programs of others and the floor
protobuf  half a million protobuf messages
json      half a million JSON messages
workers   two threads against one
start     from starting the program to the first byte of a result
camera    a minute of pictures, against copying them

Recordings, environments and results are in .cache/bench. What a complete run finds is written into docs/performance.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from fieldpipe import errors
from fieldpipe.errors import PermanentError
from fieldpipe.local.display import columns
from fieldpipe.recordings import compiled
from fieldpipe.recordings.nativecode import Unavailable
from tests.bench import convert_bounds, convert_data, convert_report
from tests.bench.convert_bounds import Floor
from tests.bench.convert_peers import JSON, PROJECT, PROTOBUF, ROS2
from tests.bench.convert_race import Course, Race, race
from tests.bench.convert_run import Bench
from tests.bench.progress import say
from tests.bench.table import Figure, Machine, render

COURSES = {  # what makes the recordings, its share of the messages, and the others
    "ros2": (convert_data.ros2, 1, ROS2),
    "protobuf": (convert_data.protobuf, 2, PROTOBUF),
    "json": (convert_data.json, 2, JSON),
}
LABELS = {"ros2": "ROS 2", "protobuf": "protobuf", "json": "JSON"}
PARTS = (*COURSES, "workers", "start", "camera")
FOLDER = PROJECT / ".cache" / "bench" / "work"
LARGE = 10_000_000_000  # bytes
START = 400  # messages: a second of a robot
CAMERA = 60  # seconds
MESSAGES = 1_030_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: messages (of ROS 2; half as many of the other kinds), those that others get, how often."""

    messages: int
    part: int
    rounds: int
    full: bool


def main() -> int:
    """Measure and print. Exit code 0 whatever the figures are: they are for people to judge."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        compiled.load()
    except Unavailable as reason:
        raise PermanentError(f"the compiled executor is what is measured, and there is none: {reason}") from reason
    plan = Plan(arguments.messages, arguments.part, arguments.rounds or (1 if arguments.full else 3), arguments.full)
    measure(arguments.parts or PARTS, plan, large=arguments.large)
    return 0


def measure(parts: Sequence[str], plan: Plan, *, large: bool) -> None:
    """Run the parts, print what they found; what all of them found, at full size, is written into the page."""
    machine = Machine.now()
    bench = Bench(FOLDER)
    floor = Floor(bench, convert_data.ros2(plan.messages))
    races = [hold(bench, plan, kind, floor) for kind in COURSES if kind in parts]
    figures = [figure for held in races for figure in convert_report.figures(held)]
    if "ros2" in parts:
        figures += bounds_of_small(races[0], floor)
    figures += bounds(bench, plan, parts, large=large)
    print(f"\n{render(figures, machine, convert_report.PACKAGES)}")
    if races:
        print(f"\n{columns(convert_report.programs(races))}")
    if set(parts) == set(PARTS) and plan.messages == MESSAGES:
        convert_report.publish(figures, races, floor.seconds, machine)
        say("docs/performance.md and docs/performance.svg are written")


def hold(bench: Bench, plan: Plan, kind: str, floor: Floor) -> Race:
    """Ours against the others on one kind of messages; the floor is measured between the rounds of ROS 2."""
    make, share, peers = COURSES[kind]
    course = Course(LABELS[kind], *map(make, (START, plan.part, plan.messages // share)))
    between = floor.measure if kind == "ros2" else None
    return race(bench, course, peers, rounds=plan.rounds, full=plan.full, between=between)


def bounds_of_small(held: Race, floor: Floor) -> list[Figure]:
    """The floor and the memory of small ROS 2 messages."""
    whole = held.course.whole
    return [
        *floor.figures(held.ours.median(whole, "cpu")),
        convert_bounds.memory("small messages", held.ours, whole),
    ]


def bounds(bench: Bench, plan: Plan, parts: Sequence[str], *, large: bool) -> list[Figure]:
    """What is measured of ours alone."""
    rounds = max(plan.rounds, 3)
    figures = []
    if "workers" in parts:
        figures += convert_bounds.workers(bench, convert_data.ros2(plan.messages), rounds)
    if "start" in parts:
        figures += convert_bounds.start(bench, convert_data.ros2(plan.messages), rounds)
    if "camera" in parts:
        figures += convert_bounds.camera(bench, convert_data.camera(CAMERA), rounds)
    if large:
        figures += convert_bounds.large(bench, convert_data.large(LARGE))
    return figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these: {', '.join(PARTS)}")
    parser.add_argument("--full", action="store_true", help="the others convert all messages too, not a part")
    parser.add_argument("--large", action="store_true", help="a recording of 10 GB as well")
    parser.add_argument("--messages", type=int, default=MESSAGES, help="of ROS 2 (%(default)s)")
    parser.add_argument("--part", type=int, default=100_000, help="messages that the others get (%(default)s)")
    parser.add_argument("--rounds", type=int, help="default: 3, with --full 1")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    return arguments


if __name__ == "__main__":
    errors.run(main)
