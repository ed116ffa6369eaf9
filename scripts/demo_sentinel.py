"""The third job in one command: devices and pods are described in etcd, rows of SQL follow, the audit finds drift.

Starts an etcd and the watcher, with SQLite in a folder that is deleted afterwards; no other part of the stack.
"""

import json
import os
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine, select, text

from fieldpipe import errors
from fieldpipe.local import display, ports, probe, process
from fieldpipe.local.etcd import PORTS, EtcdServer, etcd_program
from fieldpipe.local.process import Child, Command, base_environment
from fieldpipe.sentinel.audit import audit
from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.mirror import Deletes, Mirror
from fieldpipe.sentinel.schema import DatabaseUnavailable, connect
from fieldpipe.sentinel.tables import device, findings, pod
from fieldpipe.settings import EtcdSettings, MysqlSettings, SentinelSettings

PROJECT = Path(__file__).resolve().parents[1]
STACK = f"demo-sentinel-{os.getpid()}"
DELETES: Deletes = "mark"  # rows of what is gone stay, and say when it went
PATIENCE_SECONDS = 60.0  # until a change is in the tables; on an idle machine it takes some milliseconds
COLUMNS = {
    device: ("deviceName", "deviceIp", "connectionStatus", "os", "deletedAt"),
    pod: ("podName", "deviceNameFk", "currentVersion", "status", "deletedAt"),
    findings: ("mod_revision", "reason"),
}

Keys = Mapping[str, Mapping[str, str] | None]  # None: the key is deleted

EDGE = {"deviceName": "edge", "deviceIp": "10.0.0.1", "connectionStatus": "0", "os": "Ubuntu 18.04"}
SPARE = {"deviceName": "spare", "deviceIp": "10.0.0.2", "connectionStatus": "0", "os": "Ubuntu 20.04"}
CAMERA = {"podName": "camera", "deviceNameFk": "edge", "currentVersion": "1.0", "status": "0", "deployedAt": ""}
GATE = {"podName": "gate", "deviceNameFk": "spare", "currentVersion": "7", "status": "0", "deployedAt": ""}
NEWER = CAMERA | {"currentVersion": "1.1"}
SCENES: tuple[tuple[str, Keys], ...] = (
    ("two devices appear", {"/Device/edge/0": EDGE, "/Device/spare/0": SPARE}),
    ("pods start on them", {"/Pod/edge/0/camera": CAMERA, "/Pod/spare/0/gate": GATE}),
    ("a pod gets another version", {"/Pod/edge/0/camera": NEWER}),
    (
        "a device stops: keys move from 0 to 1, their values say what they said",
        {"/Device/edge/0": None, "/Device/edge/1": EDGE, "/Pod/edge/0/camera": None, "/Pod/edge/1/camera": NEWER},
    ),
    (
        "it vanishes, and its address goes to the other one",
        {"/Device/edge/1": None, "/Pod/edge/1/camera": None, "/Device/spare/0": SPARE | {"deviceIp": "10.0.0.1"}},
    ),
    ("a value is nonsense, which stops nobody", {"/Device/broken/0": {"deviceName": "another"}}),
)

BY_HAND = (
    "UPDATE device SET os = 'Windows 95' WHERE deviceName = 'spare'",
    "INSERT INTO device (deviceName, deviceIp) VALUES ('ghost', '10.0.0.9')",
    "DELETE FROM pod WHERE podName = 'gate'",
)


def main() -> int:
    """Start both, let everything happen, stop both."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C: what was started is stopped
    with tempfile.TemporaryDirectory() as name, _started(Path(name)) as variables:
        log = Path(name) / "watcher.log"
        engine = connect(SentinelSettings(url=SecretStr(variables["SENTINEL_URL"])), MysqlSettings())
        with Etcd(EtcdSettings(host=probe.HOST, port=int(variables["MY_ETCD_PORT"]))) as etcd:
            _await(engine, 1, log)
            for title, keys in SCENES:
                print(f"\n{title}")
                begin = time.monotonic()
                _await(engine, _write(etcd, keys), log)
                _show(engine, time.monotonic() - begin)
            _spoil(etcd, engine)
        engine.dispose()
    return 0


@contextmanager
def _started(folder: Path) -> Iterator[dict[str, str]]:
    """The variables of a sentinel, while its etcd and its watcher run."""
    server = EtcdServer(folder / "etcd", ports.choose(PORTS, folder / "ports.json"), STACK, etcd_program())
    variables = {
        "MY_ETCD_HOST": probe.HOST,
        "MY_ETCD_PORT": str(server.ports["etcd"]),
        "SENTINEL_URL": f"sqlite:///{folder / 'sentinel.db'}",
    }
    print("starting etcd and the watcher; the mirror is a file of SQLite ...", flush=True)
    etcd = process.start(server, folder / "etcd.log")
    try:
        command = (sys.executable, "-m", "scripts.watch_sentinel")
        watcher = Child(Command(command, PROJECT, base_environment(STACK) | variables), folder / "watcher.log")
        try:
            yield variables
        finally:
            watcher.stop()
    finally:
        etcd.stop()


def _write(etcd: Etcd, keys: Keys) -> int:
    puts = {key.encode(): json.dumps(value).encode() for key, value in keys.items() if value is not None}
    return etcd.transaction(puts, [key.encode() for key, value in keys.items() if value is None])


def _await(engine: Engine, revision: int, log: Path) -> None:
    """Wait until the tables stand for a revision of etcd."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with suppress(DatabaseUnavailable):  # it makes its tables first
            known = Mirror(engine).checkpoint()
            if known is not None and known.revision >= revision:
                return
        if time.monotonic() > deadline:
            words = "\n".join(process.tail(log, 15))
            raise errors.TransientError(f"the mirror did not come to revision {revision}; the watcher said:\n{words}")
        time.sleep(0.005)


def _show(engine: Engine, seconds: float) -> None:
    print(f"  in the tables after {1000 * seconds:.0f} ms", flush=True)
    with engine.connect() as connection:
        for table, names in COLUMNS.items():
            rows = connection.execute(select(*(table.c[name] for name in names))).all()
            if rows:
                lines = display.columns([names, *([_cell(value) for value in row] for row in rows)])
                print(f"\n{textwrap.indent(lines, '  ')}")


def _spoil(etcd: Etcd, engine: Engine) -> None:
    """Change the tables by hand; find that out; put them right."""
    print("\nsomebody writes into the tables by hand")
    with engine.begin() as connection:
        for statement in BY_HAND:
            print(f"  {statement}")
            connection.execute(text(statement))
    found = audit(engine, etcd, DELETES)
    print(f"\nthe audit, at revision {found.at.revision}")
    for each in found.drift:
        print(f"  {each.found:<8} {each.name.kind:<7} {each.name.name:<8} {each.what}".rstrip())
    Mirror(engine, DELETES).repair([each.name for each in found.drift if each.found != "corrupt"])
    left = [each for each in audit(engine, etcd, DELETES).drift if each.found != "corrupt"]
    print(f"\nafter its repair {len(left)} rows differ; what is malformed waits for who wrote it")


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%H:%M:%S} UTC"
    return "" if value is None else str(value)


if __name__ == "__main__":
    errors.run(main)
