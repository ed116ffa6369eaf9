"""Waits for the database to say that something may be due, or for some time to pass."""

import select
import threading

import psycopg2
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from fieldpipe.events.schema import CHANNEL


class Listener:
    """Holds a connection of its own. A lost one costs speed only: then every wait lasts its full time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: psycopg2.extensions.connection | None = None

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return when notified, when `stop` is set and `seconds` are over, or when `seconds` are over."""
        try:
            connection = self._connection or self._listen()
            select.select([connection], [], [], seconds)
            connection.poll()
            connection.notifies.clear()
        except (DBAPIError, psycopg2.Error):
            self._connection = None
            stop.wait(seconds)

    def _listen(self) -> psycopg2.extensions.connection:
        pooled = self._engine.raw_connection()
        connection: psycopg2.extensions.connection = pooled.driver_connection  # type: ignore[assignment]
        pooled.detach()  # it is ours now and never goes back to the pool
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        self._connection = connection
        return connection
