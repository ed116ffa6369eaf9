"""A MariaDB on loopback, where Debian's mariadb-server-core and mariadb-client-core are installed; not their service.

It runs as the user who starts it. Its own root comes in through the socket only, as that user; programs come with the
name and the password of one account, which may do everything.
"""

import os
import shutil
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pymysql
from pydantic import SecretStr

from fieldpipe.errors import ConfigurationError, TransientError
from fieldpipe.local import probe
from fieldpipe.local.process import Command, base_environment

PORT = "mariadb"
USER = "fieldpipe"

_PROGRAMS = ("mariadbd", "mariadb-install-db", "my_print_defaults")
_LOG_SIZE = "--innodb-log-file-size=16M"  # not 96 MB, which a try has no use for
_ANSWER_SECONDS = 5


class NotHere(ConfigurationError):
    """There is no MariaDB on this machine; the message says what is missing."""


@dataclass(frozen=True)
class MariadbServer:
    """A server with its data in `data` and its socket in `sockets` (a short path). The password: hexadecimal."""

    data: Path
    sockets: Path
    port: int
    password: SecretStr
    stack: str
    options: tuple[str, ...] = ()

    def prepare(self) -> None:
        """Make the data folder unless it is there (2 s); a half-made one never counts. Raises NotHere."""
        self.sockets.mkdir(parents=True, exist_ok=True)
        if self.data.exists():
            return
        fresh, account = (self.data.with_name(self.data.name + end) for end in (".new", ".sql"))
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        account.touch(mode=0o600)
        who = f"'{USER}'@'{probe.HOST}'"
        account.write_text(
            "FLUSH PRIVILEGES;\n"  # before it there are no accounts
            f"CREATE USER {who} IDENTIFIED BY '{self.password.get_secret_value()}';\n"
            f"GRANT ALL ON *.* TO {who} WITH GRANT OPTION;\n"
        )
        try:
            self._install(fresh, account)
        finally:
            account.unlink()
        fresh.rename(self.data)

    def command(self) -> Command:
        """One process; a commit is on disk when it is answered."""
        arguments = (
            *(program("mariadbd"), "--no-defaults", *_as_root(), f"--datadir={self.data}"),
            *(f"--socket={self.sockets / 'mariadb.sock'}", f"--bind-address={probe.HOST}", f"--port={self.port}"),
            *("--performance-schema=OFF", "--skip-name-resolve", "--max-allowed-packet=64M", _LOG_SIZE),
            *self.options,
        )
        return Command(arguments, self.data, base_environment(self.stack))

    def ready(self, since: float) -> bool:  # noqa: ARG002
        """When it takes a connection."""
        try:
            with closing(self.connect()):
                return True
        except pymysql.MySQLError:
            return False

    def connect(self) -> pymysql.Connection:
        """A connection, each statement a transaction."""
        return pymysql.connect(
            host=probe.HOST,
            port=self.port,
            user=USER,
            password=self.password.get_secret_value(),
            autocommit=True,
            connect_timeout=_ANSWER_SECONDS,
        )

    def _install(self, folder: Path, account: Path) -> None:
        arguments = (
            *(program("mariadb-install-db"), "--no-defaults", *_as_root(), f"--datadir={folder}"),
            *("--auth-root-authentication-method=socket", "--skip-test-db", f"--extra-file={account}", _LOG_SIZE),
        )
        made = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise TransientError(f"mariadb-install-db: {made.stdout}{made.stderr}")


def installed() -> bool:
    """Whether this machine has one."""
    try:
        require()
    except NotHere:
        return False
    return True


def require() -> None:
    """Raises NotHere."""
    for name in _PROGRAMS:
        program(name)


def program(name: str) -> str:
    """Where a program is; servers' lie in /usr/sbin, which is not on everybody's PATH. Raises NotHere."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NotHere(f"there is no `{name}`: apt install mariadb-server-core mariadb-client-core")
    return found


def _as_root() -> tuple[str, ...]:
    """Root has to say that it means it."""
    return ("--user=root",) if os.geteuid() == 0 else ()
