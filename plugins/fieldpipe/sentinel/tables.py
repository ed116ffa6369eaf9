"""The tables of the mirror. `device` and `pod` are those that others read; what we keep for ourselves is apart.

    Device.device, Pod.pod    as titaniadb-sentinel's production schema has them, and three columns of ours behind them;
                              a device's address is not unique: one that is given to another device overwrites nobody
    Sentinel.entries          every key of etcd about a device or a pod, as it is at the checkpoint
    Sentinel.history          what became of them, kept for a while
    Sentinel.findings         malformed keys and values that are there now
    Sentinel.checkpoint       one row: the revision of etcd that all of this stands for

On SQLite the same tables lie in one file, without the names of databases.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.mysql import LONGBLOB, LONGTEXT, VARBINARY

from fieldpipe.sentinel.keys import Device, Pod
from fieldpipe.sentinel.rows import Kind, Row

DATABASES = ("Device", "Pod", "Sentinel")
WITHOUT_DATABASES = dict.fromkeys(DATABASES)
"""What `schema_translate_map` is on SQLite."""

MAX_KEY = 2200  # bytes; an index of MySQL takes 3072

metadata = MetaData()

_EXACT: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}  # "a" and "A" are two names
_Key = LargeBinary(MAX_KEY).with_variant(VARBINARY(MAX_KEY), "mysql")
_Bytes = LargeBinary().with_variant(LONGBLOB(), "mysql")
_Json = Text().with_variant(LONGTEXT(), "mysql")
_Counter = BigInteger().with_variant(Integer(), "sqlite")


def _ours() -> tuple[Column[Any], ...]:
    return (
        Column("modRevision", BigInteger),  # of the key in etcd that the row comes from
        Column("deletedAt", DateTime),  # UTC; the row's key is gone from etcd
        Column("extra", _Json),  # fields of the value that have no column
    )


device = Table(
    "device",
    metadata,
    Column("deviceName", String(255), primary_key=True),
    Column("projectSymbolFk", String(255)),
    Column("deviceIp", String(255), nullable=False),
    Column("connectionStatus", Integer),
    Column("os", String(255)),
    *_ours(),
    Index("deviceIp_idx", "deviceIp"),
    schema="Device",
    **_EXACT,
)
pod = Table(
    "pod",
    metadata,
    Column("podName", String(255), primary_key=True),
    Column("imageName", String(255)),
    Column("deviceNameFk", String(255)),
    Column("deployedAt", DateTime),
    Column("currentVersion", String(255)),
    Column("latestVersion", String(255)),
    Column("status", String(255)),
    *_ours(),
    Index("deviceNameFk_idx", "deviceNameFk"),
    schema="Pod",
    **_EXACT,
)
entries = Table(
    "entries",
    metadata,
    Column("key", _Key, primary_key=True),
    Column("kind", String(6), nullable=False),
    Column("name", String(255), nullable=False),
    Column("mod_revision", BigInteger, nullable=False),
    Column("value", _Bytes, nullable=False),
    Index("name_idx", "kind", "name"),
    schema="Sentinel",
    **_EXACT,
)
history = Table(
    "history",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("revision", BigInteger, nullable=False),
    Column("key", _Bytes, nullable=False),  # also a malformed one, which may be longer than an index takes
    Column("value", _Bytes),  # NULL: the key was deleted
    Column("at", DateTime, nullable=False, server_default=func.now(), index=True),
    schema="Sentinel",
    **_EXACT,
)
findings = Table(
    "findings",
    metadata,
    Column("sha256", String(64), primary_key=True),  # of the key, which may be longer than an index takes
    Column("key", _Bytes, nullable=False),
    Column("mod_revision", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime, nullable=False, server_default=func.now()),
    schema="Sentinel",
    **_EXACT,
)
checkpoint = Table(
    "checkpoint",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("cluster_id", String(32), nullable=False),
    Column("revision", BigInteger, nullable=False),
    schema="Sentinel",
    **_EXACT,
)

TABLES: Mapping[Kind, Table] = {"device": device, "pod": pod}
"""The tables that others read, by the kind of a row."""

_FIELDS = {kind: [field.name for field in fields(kind) if field.name != "extra"] for kind in (Device, Pod)}
_SORTED = json.JSONEncoder(sort_keys=True)  # made once: json.dumps would make one for every row


def primary_key(table: Table) -> str:
    """The name of the column that names a device or a pod."""
    return next(iter(table.primary_key.columns)).name


def columns_of(row: Row) -> dict[str, Any]:
    """A row of `device` or `pod` that is there, by column, in the order of its table."""
    columns: dict[str, Any] = {name: getattr(row.values, name) for name in _FIELDS[type(row.values)]}
    columns |= {"modRevision": row.entry.mod_revision, "deletedAt": None, "extra": extra_text(row.values)}
    return columns


def extra_text(values: Device | Pod) -> str:
    """One text for equal fields."""
    return _SORTED.encode(values.extra)
