"""The main job in one command: a recording into the bucket, its tables out of it, through the whole embedded stack."""

import argparse
import contextlib
import json
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fieldpipe import errors
from fieldpipe.errors import FieldpipeError
from fieldpipe.local import demo, demo_report, display, stack
from fieldpipe.local.home import Home
from fieldpipe.local.trail import Trail

PROJECT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Start the stack unless it runs, do the demo, stop what was started."""
    parser = argparse.ArgumentParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument("--recording", type=Path, help="your own .mcap (a generated one)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the result there too, for programs")
    arguments = parser.parse_args()
    if arguments.recording is not None and not arguments.recording.is_file():
        raise errors.PermanentError(f"there is no file {arguments.recording}")
    home = Home.of(PROJECT)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C: what was started is stopped
    try:
        with _running_stack(home) as found:
            _demo(home, found, arguments.recording, arguments.json)
    except FieldpipeError:
        print(f"\nthe demo failed; logs are in {display.near(home.logs)}")
        raise
    return 0


@contextlib.contextmanager
def _running_stack(home: Home) -> Iterator[stack.StackStatus]:
    if (found := stack.running(home)) is not None:
        print("using the stack that runs already")
        yield found
        return
    print("starting the embedded stack ...", flush=True)
    found = stack.start(home, display.Progress().show)
    try:
        yield found
    finally:
        print("\nstopping the stack ...", flush=True)
        stack.stop(home)


def _demo(home: Home, found: stack.StackStatus, recording: Path | None, output: Path | None) -> None:
    print()
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"  {time.monotonic() - begin:5.1f} s  {text}", flush=True)

    trail = Trail(stack.environment(home), home.project, stack.pods_port(found))
    with tempfile.TemporaryDirectory() as folder:
        if recording is None:
            say("making a recording")
            recording = demo.make_recording(home.project, Path(folder))
        result = demo.convert(trail, recording, say)
    print(f"\n{demo_report.report(result, trail)}")
    if output is not None:
        output.write_text(json.dumps(demo_report.as_json(result), indent=1) + "\n")


if __name__ == "__main__":
    errors.run(main)
