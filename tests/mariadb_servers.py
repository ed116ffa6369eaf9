"""A real MariaDB for tests: Debian's packages mariadb-server-core and mariadb-client-core, without their service."""

import shutil
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

import pymysql
from pydantic import SecretStr

from fieldpipe.local import ports, process
from fieldpipe.local.process import Command, StartFailed, base_environment
from fieldpipe.settings import MysqlSettings
from tests.servers import START_ATTEMPTS, Running

HOST = "127.0.0.1"
PROGRAMS = ("mariadbd", "mariadb-install-db", "my_print_defaults")
OWN_DATABASES = {"information_schema", "mysql", "performance_schema", "sys"}


class NotHere(Exception):
    """There is no MariaDB on this machine; the message says what is missing."""


@dataclass(frozen=True)
class MariadbServer:
    """A server with its data in `folder`, copied from a template; root has no password, as only we reach it.

    Nothing is synced to disk at a commit: tests kill processes, they do not cut the power.
    """

    folder: Path
    sockets: Path
    ports: Mapping[str, int]
    mark: str
    template: Path

    def prepare(self) -> None:
        """Copy the template once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._data.exists():
            shutil.copytree(self.template, self._data)

    def command(self) -> Command:
        """One process."""
        arguments = (
            *(program("mariadbd"), "--no-defaults", f"--user={getuser()}", f"--datadir={self._data}"),
            *(f"--socket={self.sockets / 'mariadb.sock'}", f"--bind-address={HOST}", f"--port={self.ports['mariadb']}"),
            *("--performance-schema=OFF", "--innodb-flush-log-at-trx-commit=2", "--skip-name-resolve"),
            *("--innodb-lock-wait-timeout=5", "--max-allowed-packet=64M", "--innodb-log-file-size=16M"),
        )
        return Command(arguments, self.folder, base_environment(self.mark))

    def ready(self, since: float) -> bool:
        """When it takes a connection."""
        try:
            self.connect().close()
        except pymysql.MySQLError:
            return False
        return True

    def connect(self) -> pymysql.Connection:
        """A connection of root, each statement a transaction."""
        return pymysql.connect(host=HOST, port=self.ports["mariadb"], user="root", autocommit=True, connect_timeout=5)

    @property
    def _data(self) -> Path:
        return self.folder / "data"


@dataclass
class Mariadb(Running[MariadbServer]):
    """A MariaDB that runs."""

    @property
    def settings(self) -> MysqlSettings:
        """As our programs connect to it."""
        return MysqlSettings(host=HOST, port=self.server.ports["mariadb"], user="root", password=SecretStr(""))

    @property
    def environment(self) -> dict[str, str]:
        """The MY_MYSQL_* variables that lead a process of ours to it."""
        return {"MY_MYSQL_HOST": HOST, "MY_MYSQL_PORT": str(self.server.ports["mariadb"]), "MY_MYSQL_USER": "root"}

    @property
    def url(self) -> str:
        """Its SQLAlchemy URL, without a database."""
        return f"mysql+pymysql://root@{HOST}:{self.server.ports['mariadb']}/?charset=utf8mb4"

    def run(self, *statements: str) -> None:
        """SQL by hand, as somebody else would do it."""
        with closing(self.server.connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """What a SELECT finds."""
        with closing(self.server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def clear(self) -> None:
        """Drop every database that is not MariaDB's own. Connections of a test before must be closed."""
        names = {str(name) for (name,) in self.query("SHOW DATABASES")} - OWN_DATABASES
        self.run(*(f"DROP DATABASE `{name}`" for name in sorted(names)))


def program(name: str) -> str:
    """Where a program is; servers' lie in /usr/sbin, which is not on everybody's PATH. Raises NotHere."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NotHere(f"no `{name}`: install Debian's mariadb-server-core and mariadb-client-core")
    return found


def make_template(folder: Path) -> Path:
    """A data folder as MariaDB makes it (3 s), to be copied. Raises NotHere."""
    for name in PROGRAMS:
        program(name)
    subprocess.run(
        [
            *(program("mariadb-install-db"), "--no-defaults", f"--user={getuser()}", f"--datadir={folder}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=16M"),
        ],
        check=True,
        capture_output=True,
    )
    return folder


def start_mariadb(folder: Path, sockets: Path, mark: str, template: Path) -> Mariadb:
    """A new MariaDB on a free port."""
    log = folder / "mariadb.log"
    for attempt in range(1, START_ATTEMPTS + 1):
        chosen = ports.choose(("mariadb",), folder / f"ports-{attempt}.json")
        server = MariadbServer(folder, sockets, chosen, mark, template)
        try:
            return Mariadb(server, process.start(server, log), log)
        except StartFailed:
            if attempt == START_ATTEMPTS:
                raise
    raise AssertionError("unreachable")
