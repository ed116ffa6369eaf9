"""The connection to the ledger's database, and its errors as ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, TimeoutError

from fieldpipe.errors import ConfigurationError, TransientError
from fieldpipe.settings import LedgerSettings

_LIMITS = "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=60s -c timezone=UTC"


class LedgerUnavailable(TransientError):
    """The ledger's database did not do what it was asked; whether it was done is not known."""


def connect(settings: LedgerSettings, *, process: str, connections: int = 4) -> Engine:
    """Build an engine; nothing is sent yet. `process` shows up in pg_stat_activity."""
    url = settings.url.get_secret_value()
    if not url.startswith("postgresql+psycopg2://"):
        raise ConfigurationError(
            "FIELDPIPE_LEDGER_URL: not a URL such as postgresql+psycopg2://user:password@host/name"
        )
    arguments = {"connect_timeout": 3, "options": _LIMITS, "application_name": f"fieldpipe-{process}"}
    return create_engine(url, connect_args=arguments, pool_size=connections, max_overflow=0, pool_timeout=5)


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that is committed at the end. Raises LedgerUnavailable."""
    try:
        with engine.begin() as connection:
            yield connection
    except (DBAPIError, TimeoutError) as error:
        raise LedgerUnavailable(f"the ledger's database: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause).strip().partition("\n")[0] or type(cause).__name__
