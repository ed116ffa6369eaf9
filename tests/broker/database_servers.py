"""Real databases for tests of the sinks: redis-server and InfluxDB 1, as Debian has them (or InfluxDB 1.8)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from redis import Redis, RedisError

from fieldpipe.local import ports, process
from fieldpipe.local.process import Command, StartFailed, base_environment
from tests.servers import START_ATTEMPTS, Running

HOST = "127.0.0.1"
USER = "broker"
PASSWORD = "p4ss'w\"rd%41"
INFLUX_PORTS = ("influx", "influx-backup")

R = TypeVar("R", bound=Running[Any])


@dataclass(frozen=True)
class RedisServer:
    """A redis-server that only USER may use, and that keeps what it acknowledged when it is killed."""

    folder: Path
    ports: Mapping[str, int]
    mark: str

    def prepare(self) -> None:
        """Its file, as a password on a command line is everybody's."""
        self.folder.mkdir(parents=True, exist_ok=True)
        quoted = json.dumps(f">{PASSWORD}", ensure_ascii=False)
        lines = (
            *(f"bind {HOST}", f"port {self.ports['redis']}", f"dir {json.dumps(str(self.folder))}"),
            *("appendonly yes", 'save ""', "set-proc-title no"),  # a title would be written over the environment
            # with rights, as it is who a Redis 7.0 is while it reads its file of changes
            *("user default off ~* &* +@all", f"user {USER} on {quoted} ~* &* +@all"),
        )
        self._file.write_text("\n".join(lines))

    def command(self) -> Command:
        return Command(("redis-server", str(self._file)), self.folder, base_environment(self.mark))

    def ready(self, since: float) -> bool:
        """When it answers, and has read its file of changes."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def client(self) -> Redis:
        """Somebody else's."""
        return Redis(host=HOST, port=self.ports["redis"], username=USER, password=PASSWORD, decode_responses=True)

    @property
    def _file(self) -> Path:
        return self.folder / "redis.conf"


@dataclass(frozen=True)
class InfluxServer:
    """An `influxd` of version 1 that asks for a password, with its data in `folder`."""

    folder: Path
    ports: Mapping[str, int]
    mark: str

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        data = json.dumps(str(self.folder))[1:-1]
        lines = (
            *("reporting-disabled = true", f'bind-address = "{HOST}:{self.ports["influx-backup"]}"'),
            *("[meta]", f'dir = "{data}/meta"', "[data]", f'dir = "{data}/data"', f'wal-dir = "{data}/wal"'),
            *(
                "[http]",
                f'bind-address = "{HOST}:{self.ports["influx"]}"',
                "auth-enabled = true",
                "log-enabled = false",
            ),
            *("[monitor]", "store-enabled = false", "[retention]", "enabled = false"),
        )
        self._file.write_text("\n".join(lines))

    def command(self) -> Command:
        return Command(("influxd", "run", "-config", str(self._file)), self.folder, base_environment(self.mark))

    def ready(self, since: float) -> bool:
        """When it answers."""
        try:
            return httpx.get(f"{self.url}/ping", trust_env=False).status_code == 204
        except httpx.TransportError:
            return False

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.ports['influx']}"

    @property
    def _file(self) -> Path:
        return self.folder / "influxdb.conf"


@dataclass
class Influx(Running[InfluxServer]):
    """An InfluxDB that runs, with USER as its administrator."""

    @property
    def port(self) -> int:
        return self.server.ports["influx"]

    @property
    def takes_version_2(self) -> bool:
        """Whether it has the door of version 2: InfluxDB 1.8 has, Debian's 1.6 has not."""
        return httpx.post(f"{self.server.url}/api/v2/write", trust_env=False).status_code != 404

    def query(self, statement: str, database: str = "") -> list[dict[str, Any]]:
        """InfluxQL; the rows of all series, as they stand in their columns."""
        answer = httpx.post(
            f"{self.server.url}/query",
            data={"q": statement, "db": database, "epoch": "ns"},
            auth=(USER, PASSWORD),
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        (result,) = answer.json()["results"]
        assert "error" not in result, result
        return [
            {**series.get("tags", {}), **dict(zip(series["columns"], row, strict=True))}
            for series in result.get("series", ())
            for row in series["values"]
        ]

    def create_database(self) -> str:
        """A new one; returns its name."""
        name = f"test_{uuid4().hex[:12]}"
        self.query(f'CREATE DATABASE "{name}"')
        return name


@dataclass
class RunningRedis(Running[RedisServer]):
    """A Redis that runs."""

    @property
    def port(self) -> int:
        return self.server.ports["redis"]

    def client(self) -> Redis:
        """Somebody else's."""
        return self.server.client()


def start_redis(folder: Path, mark: str) -> RunningRedis:
    """A new one on a free port."""

    def start(chosen: Mapping[str, int]) -> RunningRedis:
        server, log = RedisServer(folder, chosen, mark), folder / "redis.log"
        return RunningRedis(server, process.start(server, log), log)

    return _on_free_ports(("redis",), folder, start)


def start_influx(folder: Path, mark: str) -> Influx:
    """A new one on free ports."""

    def start(chosen: Mapping[str, int]) -> Influx:
        server, log = InfluxServer(folder, chosen, mark), folder / "influxd.log"
        return Influx(server, process.start(server, log), log)

    found = _on_free_ports(INFLUX_PORTS, folder, start)
    password = PASSWORD.replace("'", "\\'")
    found.query(f"CREATE USER {USER} WITH PASSWORD '{password}' WITH ALL PRIVILEGES")  # the first one takes no password
    return found


def _on_free_ports(names: tuple[str, ...], folder: Path, start: Callable[[Mapping[str, int]], R]) -> R:
    for attempt in range(1, START_ATTEMPTS + 1):
        chosen = ports.choose(names, folder / f"ports-{attempt}.json")
        try:
            return start(chosen)
        except StartFailed:
            if attempt == START_ATTEMPTS:
                raise
    raise AssertionError("unreachable")
