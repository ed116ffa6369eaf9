"""The main job in one command, through the whole embedded stack: a recording in, its tables out.

With --camera the second job: frames into Kafka, images and the hour's table out. With --sentinel the third: rows of the
mirror of etcd are changed by hand, and the DAG that audits it finds that. With --broker the fourth: a reading by HTTP,
its text in (a stand-in for) Slack and its row in a table.
"""

import argparse
import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fieldpipe import errors
from fieldpipe.errors import FieldpipeError
from fieldpipe.local import (
    broker_demo,
    broker_report,
    camera_demo,
    camera_report,
    cameras,
    demo,
    demo_report,
    display,
    sentinel,
    sentinel_demo,
    stack,
)
from fieldpipe.local.home import Home
from fieldpipe.local.trail import Trail

PROJECT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Start the stack unless it runs, do the demo, stop what was started."""
    parser = argparse.ArgumentParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument("--recording", type=Path, help="your own .mcap (a generated one)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the result there too, for programs")
    parser.add_argument("--camera", action="store_true", help="a simulated camera's frames instead of a recording")
    parser.add_argument("--sentinel", action="store_true", help="devices and pods instead of a recording")
    parser.add_argument("--broker", action="store_true", help="a reading of a small device instead of a recording")
    arguments = parser.parse_args()
    if arguments.recording is not None and not arguments.recording.is_file():
        raise errors.PermanentError(f"there is no file {arguments.recording}")
    home = Home.of(PROJECT)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C: what was started is stopped
    try:
        with _running_stack(home, _settings(arguments)) as found:
            if arguments.camera:
                _film(home, found, arguments.json)
            elif arguments.sentinel:
                _audit(home, found, arguments.json)
            elif arguments.broker:
                _carry(home, found, arguments.json)
            else:
                _demo(home, found, arguments.recording, arguments.json)
    except FieldpipeError:
        print(f"\nthe demo failed; logs are in {display.near(home.logs)}")
        raise
    return 0


def _settings(arguments: argparse.Namespace) -> dict[str, str]:
    """What the stack needs beside recordings, if it is started for this."""
    cameras_too = {cameras.CAMERAS: "1"} if arguments.camera else {}
    sentinel_too = {sentinel.SENTINEL: os.environ.get(sentinel.SENTINEL) or "1"} if arguments.sentinel else {}
    return cameras_too | sentinel_too


@contextlib.contextmanager
def _running_stack(home: Home, settings: Mapping[str, str]) -> Iterator[stack.StackStatus]:
    if (found := stack.running(home)) is not None:
        print("using the stack that runs already")
        yield found
        return
    print("starting the embedded stack ...", flush=True)
    found = stack.start(home, display.Progress().show, settings)
    try:
        yield found
    finally:
        print("\nstopping the stack ...", flush=True)
        stack.stop(home)


def _demo(home: Home, found: stack.StackStatus, recording: Path | None, output: Path | None) -> None:
    say, trail = _clock(), Trail(stack.environment(home), home.project, stack.pods_port(found))
    with tempfile.TemporaryDirectory() as folder:
        if recording is None:
            say("making a recording")
            recording = demo.make_recording(home.project, Path(folder))
        result = demo.convert(trail, recording, say)
    _show(demo_report.report(result, trail), demo_report.as_json(result), output)


def _film(home: Home, found: stack.StackStatus, output: Path | None) -> None:
    variables = stack.environment(home)
    camera_demo.require_cameras(variables)
    trail = Trail(variables, home.project, stack.pods_port(found))
    result = camera_demo.film(trail, cameras.spool(home), _clock())
    copies = camera_report.keep(result, trail, home.root / "demo")
    _show(camera_report.report(result, trail, copies), camera_report.as_json(result), output)


def _audit(home: Home, found: stack.StackStatus, output: Path | None) -> None:
    variables = stack.environment(home)
    sentinel_demo.require_sentinel(variables)
    trail = Trail(variables, home.project, stack.pods_port(found))
    runs = sentinel_demo.play(trail, variables, _clock())
    _show(sentinel_demo.summary(runs), {"runs": [asdict(run) for run in runs]}, output)


def _carry(home: Home, found: stack.StackStatus, output: Path | None) -> None:
    variables = stack.environment(home)
    trail = Trail(variables, home.project, stack.pods_port(found))
    broker = broker_demo.command(home.project, variables)
    with tempfile.TemporaryDirectory() as folder:
        result = broker_demo.carry(trail, broker, home.log("demo-broker"), Path(folder), _clock())
    _show(broker_report.report(result, trail), broker_report.as_json(result), output)


def _clock() -> demo.Say:
    """Says things with the seconds since now."""
    print()
    begin = time.monotonic()
    return lambda text: print(f"  {time.monotonic() - begin:5.1f} s  {text}", flush=True)


def _show(report: str, facts: dict[str, Any], output: Path | None) -> None:
    print(f"\n{report}")
    if output is not None:
        output.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    errors.run(main)
