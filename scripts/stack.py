"""The embedded stack: every service as a process of this machine, on the loopback interface only."""

import argparse
import shlex
import signal
import subprocess
from pathlib import Path

from fieldpipe import errors, logs
from fieldpipe.errors import PermanentError
from fieldpipe.local import display, stack
from fieldpipe.local.home import Home

PROJECT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Parse the command line and do it. Exit code 0: done; for `status`: everything serves."""
    parser = argparse.ArgumentParser(prog="python -m scripts.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start it and leave it running")
    up.add_argument("--foreground", action="store_true", help="stay here and stop it on Ctrl-C")
    commands.add_parser("down", help="stop it, and whatever a crash has left")
    commands.add_parser("status", help="what runs, since when, and where")
    commands.add_parser("env", help='the variables that lead other scripts to it: eval "$(... env)"')
    show_logs = commands.add_parser("logs", help="what the services say")
    show_logs.add_argument("service", nargs="?", help="one of them (all)")
    show_logs.add_argument("-f", "--follow", action="store_true", help="go on as they say more")
    show_logs.add_argument("-n", "--lines", type=int, default=20, help="how many of the last lines (%(default)s)")
    arguments = parser.parse_args()
    home = Home.of(PROJECT)
    match arguments.command:
        case "up":
            return _foreground(home) if arguments.foreground else _up(home)
        case "down":
            print("stopped" if stack.stop(home) else "nothing was running")
            return 0
        case "status":
            return _status(home)
        case "env":
            for name, value in stack.environment(home).items():
                print(f"export {name}={shlex.quote(value)}")
            return 0
        case _:
            return _logs(home, arguments.service, arguments.lines, follow=arguments.follow)


def _up(home: Home) -> int:
    if (found := stack.running(home)) is not None:
        print(f"the stack runs already ({found.state})")
    else:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)  # as Ctrl-C: what was started is stopped
        print("starting the embedded stack ...", flush=True)
        found = stack.start(home, display.Progress().show)
    print(display.addresses(home, found))
    return 0


def _foreground(home: Home) -> int:
    logs.configure("supervisor")
    stack.supervise(home, display.Progress().show)
    return 0


def _status(home: Home) -> int:
    found = stack.running(home)
    if found is None:
        print("the stack does not run (start it: make up)")
        return 1
    print(display.table(found))
    return 0 if all(s.state in (stack.State.SERVING, stack.State.DONE) for s in found.services) else 1


def _logs(home: Home, service: str | None, lines: int, *, follow: bool) -> int:
    files = sorted(home.logs.glob("*.log")) if service is None else [home.log(service)]
    if not files or not all(file.exists() for file in files):
        known = ", ".join(sorted(file.stem for file in home.logs.glob("*.log"))) or "none yet"
        raise PermanentError(f"there is no log {service or ''} in {home.logs} (there are: {known})")
    options = [f"--lines={lines}", *(["--follow"] if follow else [])]
    return subprocess.run(["tail", *options, *map(str, files)], check=False).returncode


if __name__ == "__main__":
    errors.run(main)
