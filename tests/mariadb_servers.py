"""A real MariaDB for tests: Debian's packages mariadb-server-core and mariadb-client-core, without their service."""

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from fieldpipe.local import ports, probe, process
from fieldpipe.local.mariadb import PORT, USER, MariadbServer, NotHere
from fieldpipe.local.process import StartFailed
from fieldpipe.settings import MysqlSettings
from tests.servers import START_ATTEMPTS, Running

__all__ = ["Mariadb", "NotHere", "make_template", "start_mariadb"]

OPTIONS = (
    "--innodb-flush-log-at-trx-commit=2",  # nothing is synced at a commit: tests kill processes, they cut no power
    "--innodb-lock-wait-timeout=5",
)
PASSWORD = SecretStr("0123456789abcdef")
OWN_DATABASES = {"information_schema", "mysql", "performance_schema", "sys"}


@dataclass
class Mariadb(Running[MariadbServer]):
    """A MariaDB that runs."""

    @property
    def settings(self) -> MysqlSettings:
        """As our programs connect to it."""
        return MysqlSettings(host=probe.HOST, port=self.server.port, user=USER, password=PASSWORD)

    @property
    def environment(self) -> dict[str, str]:
        """The MY_MYSQL_* variables that lead a process of ours to it."""
        return {
            "MY_MYSQL_HOST": probe.HOST,
            "MY_MYSQL_PORT": str(self.server.port),
            "MY_MYSQL_USER": USER,
            "MY_MYSQL_PASSWORD": PASSWORD.get_secret_value(),
        }

    @property
    def url(self) -> str:
        """Its SQLAlchemy URL, without a database."""
        return f"mysql+pymysql://{USER}:{PASSWORD.get_secret_value()}@{probe.HOST}:{self.server.port}/?charset=utf8mb4"

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


def make_template(folder: Path) -> Path:
    """A data folder as MariaDB makes it (2 s), to be copied. Raises NotHere."""
    MariadbServer(folder / "data", folder, 0, PASSWORD, "template").prepare()
    return folder / "data"


def start_mariadb(folder: Path, sockets: Path, mark: str, template: Path, options: tuple[str, ...] = ()) -> Mariadb:
    """A new MariaDB on a free port; an option of ours counts more than one from here."""
    log = folder / "mariadb.log"
    shutil.copytree(template, folder / "data")
    for attempt in range(1, START_ATTEMPTS + 1):
        chosen = ports.choose((PORT,), folder / f"ports-{attempt}.json")
        server = MariadbServer(folder / "data", sockets, chosen[PORT], PASSWORD, mark, (*OPTIONS, *options))
        try:
            return Mariadb(server, process.start(server, log), log)
        except StartFailed:
            if attempt == START_ATTEMPTS:
                raise
    raise AssertionError("unreachable")
