"""Write the keys of devices and pods in etcd, with the right layout; each command is one transaction.

    python -m scripts.sentinel put edge deviceIp=10.0.0.1 os="Ubuntu 20.04"         # a device
    python -m scripts.sentinel put edge/camera imageName=camera currentVersion=1.0  # a pod on it
    python -m scripts.sentinel move edge edge/camera 1                              # both have stopped
    python -m scripts.sentinel delete edge/camera
    python -m scripts.sentinel get edge                                             # the key and the value
    python -m scripts.sentinel list

Needs MY_ETCD_HOST; `updateAt` is the time in SENTINEL_ZONE. Exit codes: 0 done; 65 no such device or pod, or a name or
a value that the watcher would refuse; 75 etcd is away, or others write the same keys all the time.
"""

import argparse
from collections.abc import Iterable
from datetime import datetime

from fieldpipe import errors
from fieldpipe.errors import PermanentError
from fieldpipe.sentinel import writing
from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.keys import Entry
from fieldpipe.sentinel.writing import STATUSES, subject
from fieldpipe.settings import EtcdSettings, SentinelSettings, read


def main() -> int:
    arguments = _parser().parse_args()
    etcd_settings, sentinel = read(EtcdSettings, SentinelSettings)
    now = datetime.now(sentinel.zone)
    with Etcd(etcd_settings) as etcd:
        match arguments.command:
            case "put":
                fields = dict(map(_field, arguments.fields))
                _say(writing.put(etcd, subject(arguments.name), fields, now, arguments.status))
            case "delete":
                _say(writing.delete(etcd, list(map(subject, arguments.names))))
            case "move":
                _say(writing.move(etcd, list(map(subject, arguments.names)), arguments.status, now))
            case "get":
                _show(writing.find(etcd, subject(arguments.name)))
            case _:
                for page in etcd.snapshot().pages:
                    _show(page)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.sentinel", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    named = {"metavar": "NAME", "help": "`edge` is a device, `edge/camera` a pod on it"}
    put = commands.add_parser("put", help="say what a device or a pod is now, all of it")
    put.add_argument("name", **named)
    put.add_argument("fields", nargs="*", metavar="FIELD=VALUE", help="of its value; a device takes deviceIp")
    put.add_argument("--status", choices=STATUSES, default=STATUSES[0], help="0: alive (%(default)s), 1: stopped")
    delete = commands.add_parser("delete", help="take them out of etcd")
    delete.add_argument("names", nargs="+", **named)
    move = commands.add_parser("move", help="give them a status; what else was said stays")
    move.add_argument("names", nargs="+", **named)
    move.add_argument("status", choices=STATUSES, help="0: alive, 1: stopped")
    get = commands.add_parser("get", help="what etcd says about one")
    get.add_argument("name", **named)
    commands.add_parser("list", help="what etcd says about all")
    return parser


def _field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise PermanentError(f"{text!r} is not FIELD=VALUE, such as deviceIp=10.0.0.1")
    return name, value


def _say(revision: int | None) -> None:
    print("nothing to do" if revision is None else f"revision {revision}")


def _show(entries: Iterable[Entry]) -> None:
    for entry in entries:
        print(entry.key.decode(errors="backslashreplace"), entry.value.decode(errors="backslashreplace"))


if __name__ == "__main__":
    errors.run(main)
