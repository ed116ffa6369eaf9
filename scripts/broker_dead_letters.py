"""Look at the readings that a sink of the broker would not take, and give them to it again.

    python -m scripts.broker_dead_letters list                     # all of them: sink, position, when, why
    python -m scripts.broker_dead_letters list --sink influxdb
    python -m scripts.broker_dead_letters show influxdb 17         # one, with its payload
    python -m scripts.broker_dead_letters retry influxdb 17 18     # into the sink's queue again; without numbers: all

Needs KRAKENB_SPOOL (the broker's folder). May run beside the broker, which then delivers within seconds. Exit codes: 0;
65 there is no such letter; 75 the broker held the file too long: try again.
"""

import argparse
import json
import sqlite3
import sys
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime

from fieldpipe import errors
from fieldpipe.broker import spoolfile
from fieldpipe.broker.settings import BrokerSettings
from fieldpipe.broker.spool import FILE
from fieldpipe.broker.spoolfile import DeadLetter
from fieldpipe.errors import PermanentError, TransientError
from fieldpipe.settings import read

AT_ONCE = 1000  # letters; a broker that takes readings waits meanwhile


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="all of them").add_argument("--sink", help="of this sink only")
    show = commands.add_parser("show", help="one of them, whole")
    show.add_argument("sink")
    show.add_argument("position", type=int)
    retry = commands.add_parser("retry", help="into the queue again")
    retry.add_argument("sink")
    retry.add_argument("positions", type=int, nargs="*", help="default: all of the sink")
    arguments = parser.parse_args()
    (settings,) = read(BrokerSettings)
    path = settings.spool / FILE
    if not path.exists():
        raise PermanentError(f"KRAKENB_SPOOL: there is no {path}; has a broker run with this folder?")
    try:
        with closing(spoolfile.connect(path)) as connection:
            if arguments.command == "list":
                _list(connection, arguments.sink)
            elif arguments.command == "show":
                _show(connection, arguments.sink, arguments.position)
            else:
                _retry(connection, arguments.sink, arguments.positions)
    except sqlite3.OperationalError as error:
        raise TransientError(f"{path}: {error}") from error
    return 0


def _list(connection: sqlite3.Connection, sink: str | None) -> None:
    count = 0
    for count, letter in enumerate(spoolfile.dead_letters(connection, sink), start=1):  # noqa: B007 -- told below
        of = f"{letter.reading.collector} {letter.reading.device}".strip() if letter.reading else "unreadable"
        print(f"{letter.sink}  {letter.position}  {_moment(letter.at)}  {of}: {letter.reason}")
    print(f"{count} dead letters", file=sys.stderr)


def _show(connection: sqlite3.Connection, sink: str, position: int) -> None:
    letter = _letter(connection, sink, position)
    what = {"sink": letter.sink, "position": letter.position, "dead_since": _moment(letter.at), "reason": letter.reason}
    if letter.reading:
        what |= asdict(letter.reading) | {"received": _moment(letter.reading.received), "payload": letter.reading.text}
    print(json.dumps(what, indent=2, ensure_ascii=False))


def _retry(connection: sqlite3.Connection, sink: str, positions: list[int]) -> None:
    wanted = positions or [letter.position for letter in spoolfile.dead_letters(connection, sink)]
    found = 0
    for start in range(0, len(wanted), AT_ONCE):
        connection.execute("BEGIN IMMEDIATE")
        found += spoolfile.retry(connection, [(sink, position) for position in wanted[start : start + AT_ONCE]])
        connection.execute("COMMIT")
    print(f"{found} of {len(wanted)} wait for {sink} again")
    if found < len(wanted):
        raise PermanentError(
            f"{len(wanted) - found} of these are no dead letters of {sink}; `list` shows what there is"
        )


def _letter(connection: sqlite3.Connection, sink: str, position: int) -> DeadLetter:
    for letter in spoolfile.dead_letters(connection, sink):
        if letter.position == position:
            return letter
    raise PermanentError(f"{sink} has no dead letter {position}; `list` shows what there is")


def _moment(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    errors.run(main)
