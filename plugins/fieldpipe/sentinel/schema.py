"""The databases and tables of the mirror, made where they are missing and brought up to date where others made them.

Everything is compared first, so this may run at every start. Nothing that others put there is taken away, but for one
thing: an index that lets no two devices have the same address.
"""

from __future__ import annotations

import zlib
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from fieldpipe import logs
from fieldpipe.errors import ConfigurationError, TransientError
from fieldpipe.sentinel.tables import DATABASES, TABLES, WITHOUT_DATABASES, device, metadata
from fieldpipe.settings import MysqlSettings, SentinelSettings

_SECONDS = 10  # that a server has for an answer when we connect

log = logs.get(__name__)


class DatabaseUnavailable(TransientError):
    """The database did not answer, or refused for a reason that will pass."""


def connect(settings: SentinelSettings, mysql: MysqlSettings) -> Engine:
    """An engine for the mirror's database; nothing is sent yet. Raises ConfigurationError."""
    url = _url(settings, mysql)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, execution_options={"schema_translate_map": WITHOUT_DATABASES})
        event.listen(engine, "connect", _manual_transactions)
        event.listen(engine, "connect", _sums)
        event.listen(engine, "begin", _begin_immediately)
        return engine
    return create_engine(
        url,
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ",
        paramstyle="format",  # values by place, not by name: half the time for many rows
        connect_args={"connect_timeout": _SECONDS, "read_timeout": 300, "write_timeout": 300},
    )


def migrate(engine: Engine) -> None:
    """Make everything right. Raises DatabaseUnavailable."""
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "mysql":
                for name in DATABASES:
                    connection.execute(text(f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4"))
            metadata.create_all(connection)
            _add_columns(connection)
            if engine.dialect.name == "mysql":
                _share_addresses(connection)
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(f"the mirror's tables: {error}") from error


def _add_columns(connection: Connection) -> None:
    for table in TABLES.values():
        schema = table.schema if connection.dialect.name == "mysql" else None
        there = {column["name"] for column in inspect(connection).get_columns(table.name, schema=schema)}
        for column in table.columns:
            if column.name not in there:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                name = f"`{schema}`.`{table.name}`" if schema else table.name
                connection.execute(text(f"ALTER TABLE {name} ADD COLUMN {definition}"))
                log.info("column_added", table=table.name, column=column.name)


def _share_addresses(connection: Connection) -> None:
    """An address may go from one device to another: with the original's index the second took the first one's row."""
    for index in inspect(connection).get_indexes(device.name, schema=device.schema):
        if index["unique"] and index["column_names"] == ["deviceIp"]:
            connection.execute(
                text(
                    f"ALTER TABLE `{device.schema}`.`{device.name}` DROP INDEX `{index['name']}`, "
                    "ADD INDEX deviceIp_idx (deviceIp)"
                )
            )
            log.info("index_replaced", index=index["name"])


def _url(settings: SentinelSettings, mysql: MysqlSettings) -> URL:
    if settings.url is not None:
        try:
            return make_url(settings.url.get_secret_value())
        except SQLAlchemyError:
            raise ConfigurationError("SENTINEL_URL: not a URL such as mysql+pymysql://user:password@host") from None
    if not mysql.host:
        raise ConfigurationError("MY_MYSQL_HOST or SENTINEL_URL: say where the mirror is kept (see .env.example)")
    password = mysql.password.get_secret_value()
    query = {"charset": "utf8mb4"}
    return URL.create("mysql+pymysql", mysql.user, password, mysql.host, mysql.port, query=query)


def _manual_transactions(connection: Any, _record: object) -> None:
    """Python's driver would begin transactions by itself, and too late."""
    connection.isolation_level = None


def _sums(connection: Any, _record: object) -> None:
    """What MySQL has and SQLite has not."""
    connection.create_function("crc32", 1, zlib.crc32, deterministic=True)


def _begin_immediately(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
