"""The ledger's migrations (Alembic), packaged with the library: `python -m scripts.ledger migrate`."""

from sqlalchemy import Connection, Engine, text

from fieldpipe.events.database import transaction

HEAD = "0002"  # the revision that this code needs; four digits, so that they sort
_LOCK = 0x66706C67  # any number that nobody else uses as an advisory lock of this database


def migrate(engine: Engine) -> None:
    """Bring the database to HEAD. Several processes may start this at once: one does the work, the others wait.

    Raises LedgerUnavailable.
    """
    from alembic import command  # here, as the webhook imports this module and has no use for all of Alembic
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "fieldpipe.events:migrations")
    config.set_main_option("path_separator", "os")
    with transaction(engine) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text("SET LOCAL statement_timeout = 0"))  # an index over a big table takes its time
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_migrated(connection: Connection) -> bool:
    """Whether this database has the tables that this code needs, or newer ones: old processes go on meanwhile."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return False
    version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return version is not None and version >= HEAD
