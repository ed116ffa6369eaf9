"""What was found, as tables and bars."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.bench import convert_page
from tests.bench.convert_chart import Bar, chart
from tests.bench.convert_peers import ALL, versions
from tests.bench.convert_race import OURS, Race, Runner
from tests.bench.convert_run import megabytes
from tests.bench.table import Figure, Machine, rows

PACKAGES = ("mcap", "zstandard", "lz4", "zlib-ng")


def figures(race: Race) -> list[Figure]:
    """How many times our CPU seconds the others took."""
    cpu, _ = race.ours.cpu(race.course)
    found = []
    for other in race.others:
        assert other.peer is not None
        theirs, measured = other.cpu(race.course)
        ratio, least = theirs / cpu, other.peer.least
        value = f"{ratio:.1f}x ({'' if measured else 'about '}{theirs:.1f} s / {cpu:.2f} s)"
        found.append(Figure(other.name, value, f">= {least:g}x, aim {other.peer.aim:g}x", ratio >= least))
    return found


def programs(races: Sequence[Race]) -> list[tuple[str, ...]]:
    """Everything that was run: CPU seconds for the whole recording, and the rest for what it was run on."""
    heading = ("messages", "program", "CPU s for all", "run on", "CPU s", "wall s", "peak RSS", "private", "written")
    return [heading, *(_program(race, runner) for race in races for runner in (race.ours, *race.others))]


def _program(race: Race, runner: Runner) -> tuple[str, ...]:
    course = race.course
    total, measured = runner.cpu(course)
    on = runner.longest(course)
    most_resident, most_private = (max(getattr(run, name) for run in runner.runs[on]) for name in ("peak", "private"))
    return (
        f"{course.whole.messages:,} {course.kind}",
        runner.name,
        f"{total:.2f}" if measured else f"about {total:.1f}",
        f"{on.messages:,}, {len(runner.runs[on])} times",
        f"{runner.median(on, 'cpu'):.2f}",
        f"{runner.median(on, 'wall'):.2f}",
        megabytes(most_resident),
        megabytes(most_private),
        megabytes(runner.median(on, "written")),
    )


def publish(found: list[Figure], races: Sequence[Race], floor: float, machine: Machine) -> None:
    """Write it into the page and draw the bars."""
    bars = [(_heading(race), _bars(race, floor if race is races[0] else None)) for race in races]
    text = "\n\n".join(
        [
            "![CPU seconds of every program for the same recordings](performance.svg)",
            f"Measured {datetime.now(UTC):%Y-%m-%d}.",
            f"```\n{machine.describe(PACKAGES)}\n{compiler()}\nothers    {', '.join(others())}\n```",
            convert_page.table(rows(found)),
            convert_page.table(programs(races)),
        ]
    )
    convert_page.write(text, chart(bars))


def compiler() -> str:
    """The one on this machine."""
    said = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=True).stdout
    return f"compiler  {said.splitlines()[0]}, {platform.libc_ver()[0]} {platform.libc_ver()[1]}"


def others() -> list[str]:
    """What is pinned for the peers."""
    return sorted({pin for peer in ALL for pin in versions(peer)})


def _heading(race: Race) -> str:
    course = race.course
    return f"CPU seconds, {course.whole.messages:,} {course.kind} messages ({megabytes(course.whole.size)})"


def _bars(race: Race, floor: float | None) -> list[Bar]:
    bars = [Bar(other.name, other.cpu(race.course)[0]) for other in race.others]
    bars += [Bar(OURS, race.ours.cpu(race.course)[0])]
    return bars if floor is None else [*bars, Bar("the floor", floor, floor=True)]
