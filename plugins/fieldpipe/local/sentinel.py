"""The sentinel in the embedded stack: an etcd, a database, the watcher, and what leads our programs to them."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from fieldpipe.errors import ConfigurationError
from fieldpipe.local import mariadb, probe
from fieldpipe.local.etcd import EtcdServer
from fieldpipe.local.home import Home
from fieldpipe.local.mariadb import MariadbServer
from fieldpipe.local.process import base_environment
from fieldpipe.local.steps import Program, Service, Step

SENTINEL = "FIELDPIPE_SENTINEL"
SERVICE = "sentinel"
MIRROR_SECRET = "fieldpipe-mysql"  # noqa: S105 -- the name of a Secret

_CHOICES = ("0", "1", "mariadb", "sqlite")


@dataclass(frozen=True)
class Sentinel:
    """An etcd and its mirror, which is on MariaDB, or a file of SQLite."""

    home: Home
    etcd: EtcdServer
    mariadb: MariadbServer | None

    def variables(self) -> dict[str, str]:
        """What our programs, Airflow's DAG files and the pods get."""
        found = {"MY_ETCD_HOST": probe.HOST, "MY_ETCD_PORT": str(self.etcd.ports["etcd"])}
        if self.mariadb is not None:
            found |= {"MY_MYSQL_HOST": probe.HOST, "MY_MYSQL_PORT": str(self.mariadb.port)}
        return found

    def account(self) -> dict[str, str]:
        """What those get who come to the mirror."""
        if self.mariadb is None:
            return {"SENTINEL_URL": f"sqlite:///{self._file}"}
        return {"MY_MYSQL_USER": mariadb.USER, "MY_MYSQL_PASSWORD": self.mariadb.password.get_secret_value()}

    def secrets(self) -> dict[str, dict[str, str]]:
        """The same as the Secret that pods take it from."""
        keys = {"SENTINEL_URL": "url", "MY_MYSQL_USER": "user", "MY_MYSQL_PASSWORD": "password"}
        return {MIRROR_SECRET: {keys[name]: value for name, value in self.account().items()}}

    def steps(self) -> tuple[Step, ...]:
        """etcd, the database, the watcher."""
        database = self.mariadb
        address = str(self._file) if database is None else f"{probe.HOST}:{database.port}"
        return (
            Service("etcd", self.etcd, address=self.etcd.url),
            *([Service("mariadb", database, address=address)] if database else []),
            Service(SERVICE, self._watcher(), after=("etcd", "mariadb") if database else ("etcd",), address=address),
        )

    @property
    def _file(self) -> Path:
        return self.home.data / "sentinel.db"

    def _watcher(self) -> Program:
        alive = self.home.run / "sentinel.alive"
        arguments = (sys.executable, "-m", "scripts.watch_sentinel", "--alive", str(alive))
        variables = base_environment(self.home.stack) | self.variables() | self.account()

        def works(since: float) -> bool:
            return alive.exists() and alive.stat().st_mtime >= since

        return Program(arguments, self.home.project, variables, works)


def chosen() -> str | None:
    """Where FIELDPIPE_SENTINEL wants the mirror: mariadb, sqlite; None: there is no sentinel.

    Raises ConfigurationError.
    """
    text = os.environ.get(SENTINEL) or "0"
    if text not in _CHOICES:
        raise ConfigurationError(
            f"{SENTINEL} is {text!r}: it may be 1 (an etcd, its mirror on MariaDB where one is installed, else on "
            "SQLite), mariadb or sqlite (the mirror there), or 0 (none)"
        )
    if text == "1":
        return "mariadb" if mariadb.installed() else "sqlite"
    if text == "mariadb":
        mariadb.require()
    return None if text == "0" else text
