"""Benchmarks of the event flow, with the goals they are held against.

    python -m tests.bench.events                    # all: about ten minutes on a quiet machine with two cores
    python -m tests.bench.events latency            # one of them
    python -m tests.bench.events --quick            # fewer repetitions: a look, not a measurement

ack      how quickly an event is acknowledged, alone and against triggering Airflow inside the request
latency  from an object put into an idle stack to its readable table
burst    a thousand recordings at once, against one run per object
restart  every service killed once: how soon it serves again

It starts an embedded stack of its own in a temporary folder and stops it in any case.
"""

import argparse
import signal
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from fieldpipe import errors
from fieldpipe.local import marks
from tests.bench import acknowledge
from tests.bench.alone import MARK
from tests.bench.burst import burst, idle_start_delay
from tests.bench.latency import Journey, journeys
from tests.bench.progress import say
from tests.bench.restarts import restarts
from tests.bench.stack import BenchStack, embedded_stack
from tests.bench.table import Figure, Machine, render

PARTS = ("ack", "latency", "burst", "restart")
MAX_RUNS = 4  # of routes.toml
BURST_SECONDS = 900.0  # longer than that, and a burst is given up


def main() -> int:
    """Measure and print the table. Exit code 0 whatever the figures are: they are for people to judge."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.events", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=PARTS, help="only this one")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is stopped
    try:
        measure([arguments.part] if arguments.part else PARTS, quick=arguments.quick)
    finally:
        marks.sweep(MARK)
    return 0


def measure(parts: Sequence[str], *, quick: bool) -> None:
    """Run the parts, print what they found."""
    machine = Machine.now()
    print(machine.describe(), flush=True)
    figures: list[Figure] = []
    with ExitStack() as cleanup:
        if "ack" in parts:
            say("the webhook alone")
            figures += acknowledge.alone(acknowledge.QUICK if quick else acknowledge.FULL)
        say("starting an embedded stack")
        stack = cleanup.enter_context(embedded_stack())
        if "latency" in parts:
            figures += latency_figures(stack, recordings=5 if quick else 20)
        if "burst" in parts:
            figures += burst_figures(stack, objects=200 if quick else 1000, singles=20 if quick else 100)
        if "ack" in parts:
            say("ours and triggering inside the request, side by side")
            figures += acknowledge.side_by_side(stack, acknowledge.QUICK if quick else acknowledge.FULL)
        if "restart" in parts:
            figures += restart_figures(stack)
        say("stopping")
    print(f"\n{render(figures, machine)}" + ("\n(quick: too few repetitions for a judgement)" if quick else ""))


def latency_figures(stack: BenchStack, recordings: int) -> list[Figure]:
    """Recordings one at a time, through a stack that is otherwise idle."""
    say(f"{recordings} recordings, one at a time")
    seen: list[Journey] = []
    for journey in journeys(stack, recordings):
        seen.append(journey)
        say(f"recording {len(seen)}: {journey.total:.2f} s")
    totals = [journey.total for journey in seen]
    median, late = statistics.median(totals), statistics.quantiles(totals, n=20, method="inclusive")[18]

    def hop(name: str) -> str:
        return f"{statistics.median(getattr(journey, name) for journey in seen):.2f} s"

    return [
        Figure("object put to CSV readable, median", f"{median:.2f} s", "<= 3 s", median <= 3.0),
        Figure("object put to CSV readable, 95 %", f"{late:.2f} s", "<= 6 s", late <= 6.0),
        Figure("  put to event in the ledger", hop("event")),
        Figure("  to run in Airflow", hop("sent")),
        Figure("  to task running", hop("task")),
        Figure("  to manifest visible", hop("result")),
    ]


def burst_figures(stack: BenchStack, objects: int, singles: int) -> list[Figure]:
    """Many recordings at once in shared runs, then fewer with a run each, scaled."""
    say("another DAG while nothing else happens")
    idle = idle_start_delay(stack, runs=5)
    say(f"{objects} recordings at once")
    many = burst(stack, "burst/", objects, BURST_SECONDS, probe=True)
    say(f"{singles} recordings with a run each")
    few = burst(stack, "one-by-one/", singles, BURST_SECONDS, probe=False)
    scaled = few.seconds * objects / singles
    limit = 1.1 * idle + 1.0
    worst = max(many.start_delays)
    most = max(many.in_flight + few.in_flight)
    return [
        Figure(
            f"{objects} at once, all converted", f"{objects - many.failed} in {many.seconds:.0f} s, {many.runs} runs"
        ),
        Figure("  one run per object, scaled", f"{scaled:.0f} s ({singles} in {few.seconds:.0f} s)"),
        Figure(
            "  share of that",
            f"1/{scaled / many.seconds:.1f}",
            "< 1/8",
            many.seconds < scaled / 8 and not many.failed and not few.failed,
        ),
        Figure("  runs in flight at most", f"{most}", f"<= {MAX_RUNS}", most <= MAX_RUNS),
        Figure("  another DAG starts, idle", f"{idle:.2f} s"),
        Figure(
            f"  another DAG starts meanwhile, worst of {len(many.start_delays)}",
            f"{worst:.2f} s (median {statistics.median(many.start_delays):.2f} s)",
            f"<= {limit:.2f} s",
            worst <= limit,
        ),
    ]


def restart_figures(stack: BenchStack) -> list[Figure]:
    """Every service killed once."""
    figures = []
    for name, seconds in restarts(stack):
        say(f"{name}: {seconds:.1f} s")
        figures.append(Figure(f"{name} serves again after", f"{seconds:.1f} s", "<= 10 s", seconds <= 10.0))
    return figures


if __name__ == "__main__":
    errors.run(main)
