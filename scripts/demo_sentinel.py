"""The sentinel in a few seconds: devices and pods are described in etcd, and rows of SQL follow.

Starts an etcd and the watcher, with SQLite in a folder that is deleted afterwards; no other part of the stack.
"""

import os
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine, select

from fieldpipe import errors
from fieldpipe.local import display, ports, probe, process
from fieldpipe.local.etcd import PORTS, EtcdServer, etcd_program
from fieldpipe.local.process import Child, Command, base_environment
from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.keys import STOPPED
from fieldpipe.sentinel.mirror import Mirror
from fieldpipe.sentinel.schema import DatabaseUnavailable, connect
from fieldpipe.sentinel.tables import device, findings, pod
from fieldpipe.sentinel.writing import delete, move, put, subject
from fieldpipe.settings import EtcdSettings, MysqlSettings, SentinelSettings

PROJECT = Path(__file__).resolve().parents[1]
STACK = f"demo-sentinel-{os.getpid()}"
PATIENCE_SECONDS = 60.0  # until a change is in the tables; on an idle machine it takes some milliseconds
COLUMNS = {
    device: ("deviceName", "deviceIp", "connectionStatus", "os", "deletedAt"),
    pod: ("podName", "deviceNameFk", "currentVersion", "status", "deletedAt"),
    findings: ("mod_revision", "reason"),
}

Write = Callable[[], int | None]  # to etcd; returns the revision


def main() -> int:
    """Start both, let everything happen, stop both."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C: what was started is stopped
    with tempfile.TemporaryDirectory() as name, _started(Path(name)) as (etcd, engine, log):
        _await(engine, 1, log)
        for title, writes in _scenes(etcd):
            print(f"\n{title}")
            begin = time.monotonic()
            revisions = [write() for write in writes]
            _await(engine, revisions[-1] or 0, log)
            _show(engine, time.monotonic() - begin)
    return 0


def _scenes(etcd: Etcd) -> Iterator[tuple[str, tuple[Write, ...]]]:
    stopping = (subject("edge"), subject("edge/camera"))
    now = datetime.now().astimezone()

    def device(name: str, address: str) -> Write:
        return partial(put, etcd, subject(name), {"deviceIp": address, "os": "Ubuntu 20.04"}, now)

    def pod(name: str, version: str) -> Write:
        return partial(put, etcd, subject(name), {"imageName": "image", "currentVersion": version}, now)

    yield "two devices appear", (device("edge", "10.0.0.1"), device("spare", "10.0.0.2"))
    yield "pods start on them", (pod("edge/camera", "1.0"), pod("spare/gate", "7"))
    yield "a pod gets another version", (pod("edge/camera", "1.1"),)
    yield "a device stops: its keys move from 0 to 1", (partial(move, etcd, stopping, STOPPED, now),)
    yield (
        "it vanishes, and its address goes to the other one",
        (partial(delete, etcd, stopping), device("spare", "10.0.0.1")),
    )
    nonsense = partial(etcd.put, b"/Device/broken/0", b'{"deviceName": "other"}')  # our own command would refuse it
    yield "a value is nonsense, which stops nobody", (nonsense,)


@contextmanager
def _started(folder: Path) -> Iterator[tuple[Etcd, Engine, Path]]:
    """An etcd, the tables that follow it, and the watcher's log."""
    server = EtcdServer(folder / "etcd", ports.choose(PORTS, folder / "ports.json"), STACK, etcd_program())
    url, log = f"sqlite:///{folder / 'sentinel.db'}", folder / "watcher.log"
    variables = {"MY_ETCD_HOST": probe.HOST, "MY_ETCD_PORT": str(server.ports["etcd"]), "SENTINEL_URL": url}
    print("starting etcd and the watcher; the mirror is a file of SQLite ...", flush=True)
    etcd = process.start(server, folder / "etcd.log")
    try:
        command = (sys.executable, "-m", "scripts.watch_sentinel")
        watcher = Child(Command(command, PROJECT, base_environment(STACK) | variables), log)
        try:
            engine = connect(SentinelSettings(url=SecretStr(url)), MysqlSettings())
            with Etcd(EtcdSettings(host=probe.HOST, port=server.ports["etcd"])) as client:
                yield client, engine, log
            engine.dispose()
        finally:
            watcher.stop()
    finally:
        etcd.stop()


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


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%H:%M:%S} UTC"
    return "" if value is None else str(value)


if __name__ == "__main__":
    errors.run(main)
