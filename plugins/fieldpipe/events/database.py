"""The connection to the ledger's database, and its errors as ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, TimeoutError

from fieldpipe.errors import ConfigurationError, PermanentError, TransientError
from fieldpipe.settings import LedgerSettings

# A server that vanishes without a word is given up after seconds, not after the kernel's quarter of an hour.
_SILENCE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 15_000}
_LIMITS = "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=60s -c timezone=UTC"


_DATA_ERRORS = ("22", "54")  # classes of SQLSTATE: data exception, program limit exceeded


class LedgerUnavailable(TransientError):
    """The ledger's database did not do what it was asked; whether it was done is not known."""


class Unstorable(PermanentError):
    """The database will never take these values. Nothing of the transaction was done."""


def connect(settings: LedgerSettings, *, process: str, connections: int = 4) -> Engine:
    """Build an engine; nothing is sent yet. `process` shows up in pg_stat_activity."""
    url = _parsed(settings.url.get_secret_value())
    arguments = {"connect_timeout": 3, "options": _LIMITS, "application_name": f"fieldpipe-{process}", **_SILENCE}
    return create_engine(url, connect_args=arguments, pool_size=connections, max_overflow=0, pool_timeout=5)


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that is committed at the end. Raises LedgerUnavailable, Unstorable."""
    try:
        with engine.begin() as connection:
            yield connection
    except (DBAPIError, TimeoutError, ValueError) as error:
        if _is_about_values(error):
            raise Unstorable(f"the ledger's database does not take it: {_first_line(error)}") from error
        if isinstance(error, ValueError):
            raise
        raise LedgerUnavailable(f"the ledger's database: {_first_line(error)}") from error


def _parsed(text: str) -> URL:
    """The message never shows the text: what does not parse may be a password with a character that was not encoded."""
    try:
        url = make_url(text)
        fits = url.drivername == "postgresql+psycopg2" and "@" not in (url.host or "")
    except (ArgumentError, ValueError):
        fits = False
    if not fits:
        raise ConfigurationError(
            "FIELDPIPE_LEDGER_URL: not a URL such as postgresql+psycopg2://user:password@host/name "
            "(characters like @ : / in the password are written as %40 %3A %2F)"
        )
    return url


def _is_about_values(error: Exception) -> bool:
    if isinstance(error, DBAPIError):
        return (getattr(error.orig, "pgcode", None) or "").startswith(_DATA_ERRORS)
    return isinstance(error, UnicodeError) or "cannot contain NUL" in str(error)  # both psycopg2's, before it sends


def _first_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause).strip().partition("\n")[0] or type(cause).__name__
