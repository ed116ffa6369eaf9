"""A model of etcd, and what the mirror's tables must hold for it: what the tests of the mirror are held against."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, select

from fieldpipe.sentinel.keys import Changes, Entry, Event
from fieldpipe.sentinel.rows import Name, rows_of
from fieldpipe.sentinel.tables import TABLES, columns_of, primary_key


def device_key(name: str, status: str = "0") -> bytes:
    return f"/Device/{name}/{status}".encode()


def pod_key(name: str, device: str = "d", status: str = "0") -> bytes:
    return f"/Pod/{device}/{status}/{name}".encode()


def device_value(name: str, **changed: object) -> bytes:
    value = {
        "deviceName": name,
        "projectSymbolFk": "prj",
        "deviceIp": "10.0.0.1",
        "connectionStatus": "0",
        "os": "linux",
        "updateAt": "2026-01-02 03:04:05",
    }
    return json.dumps(value | changed).encode()


def pod_value(name: str, **changed: object) -> bytes:
    value = {
        "podName": name,
        "imageName": "image",
        "deviceNameFk": "d",
        "deployedAt": "2026-01-02 03:04:05",
        "currentVersion": "1",
        "latestVersion": "2",
        "status": "0",
        "updateAt": "2026-01-02 03:04:05",
    }
    return json.dumps(value | changed).encode()


@dataclass
class Etcd:
    """Keys with their revisions, and every change of them."""

    revision: int = 1
    cluster_id: str = "c1"
    keys: dict[bytes, Entry] = field(default_factory=dict)

    def change(self, *changes: tuple[bytes, bytes | None]) -> Changes:
        """One transaction: (key, value), or (key, None) for a deletion. Deleting what is not there is no event."""
        self.revision += 1
        events = []
        for key, value in changes:
            if value is not None:
                self.keys[key] = Entry(key, value, self.revision)
            elif self.keys.pop(key, None) is None:
                continue
            events.append(Event(key, value, self.revision))
        return Changes(self.revision, tuple(events))

    def listed(self) -> list[Entry]:
        return [self.keys[key] for key in sorted(self.keys)]


def tables(engine: Engine) -> dict[Name, dict[str, Any]]:
    """Every row that others read."""
    with engine.begin() as connection:
        return rows_in(connection)


def rows_in(connection: Connection) -> dict[Name, dict[str, Any]]:
    """As `tables`, in a transaction that reads more."""
    return {
        Name(kind, row[primary_key(table)]): dict(row)
        for kind, table in TABLES.items()
        for row in connection.execute(select(table)).mappings()
    }


def expected(entries: Iterable[Entry]) -> dict[Name, dict[str, Any]]:
    """The rows of what is there."""
    return {name: columns_of(row) for name, row in rows_of(entries).rows.items()}
