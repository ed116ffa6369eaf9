"""A real MQTT server for tests: Debian's mosquitto, which keeps sessions on disk, so that it may be killed."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

from paho.mqtt import publish

from fieldpipe.local import ports, process
from fieldpipe.local.process import Command, StartFailed, base_environment
from tests.servers import START_ATTEMPTS, Running

HOST = "127.0.0.1"
USER, PASSWORD = "broker", "p4ss word"
PLACES = "/usr/sbin:/usr/local/sbin"  # not on everybody's PATH


def program() -> str | None:
    """Where it is, if it is there."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=PLACES)


@dataclass(frozen=True)
class MosquittoServer:
    """At one port without TLS; `options` are further lines of its file."""

    folder: Path
    ports: Mapping[str, int]
    mark: str
    options: tuple[str, ...] = ()

    def prepare(self) -> None:
        """Its file. It writes what it knows to disk every second, and when it ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        access = () if any(line.startswith("password_file") for line in self.options) else ("allow_anonymous true",)
        lines = (
            *(f"listener {self.ports['mqtt']} {HOST}", f"user {getuser()}", "persistence true"),
            *(f"persistence_location {self.folder}/", "autosave_interval 1", "log_type all", "max_queued_messages 0"),
            *access,
            *self.options,
        )
        self._file.write_text("\n".join(lines))

    def command(self) -> Command:
        """One process."""
        return Command((program() or "mosquitto", "-c", str(self._file)), self.folder, base_environment(self.mark))

    def ready(self, since: float) -> bool:
        """When it listens."""
        with socket.socket() as client:
            return client.connect_ex((HOST, self.ports["mqtt"])) == 0

    @property
    def _file(self) -> Path:
        return self.folder / "mosquitto.conf"


@dataclass
class Mosquitto(Running[MosquittoServer]):
    """One that runs."""

    @property
    def port(self) -> int:
        return self.server.ports["mqtt"]

    def publish(self, payloads: Iterable[bytes], topic: str = "kraken", qos: int = 1, *, retain: bool = False) -> None:
        """Somebody publishes; returns when the server has them all."""
        messages = [(topic, payload, qos, retain) for payload in payloads]
        publish.multiple(messages, hostname=HOST, port=self.port)


def write_passwords(folder: Path) -> Path:
    """A file with USER and PASSWORD."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(path), USER, PASSWORD], check=True)
    return path


def start_mosquitto(folder: Path, mark: str, options: tuple[str, ...] = ()) -> Mosquitto:
    """A new one on a free port."""
    log = folder / "mosquitto.log"
    for attempt in range(1, START_ATTEMPTS + 1):
        chosen = ports.choose(("mqtt",), folder / f"ports-{attempt}.json")
        server = MosquittoServer(folder, chosen, mark, options)
        try:
            return Mosquitto(server, process.start(server, log), log)
        except StartFailed:
            if attempt == START_ATTEMPTS:
                raise
    raise AssertionError("unreachable")
