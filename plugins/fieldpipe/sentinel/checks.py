"""What is odd about devices and pods although the tables say what etcd says. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Literal, NamedTuple

from fieldpipe.sentinel.keys import STOPPED, TIME, Device, Pod
from fieldpipe.sentinel.rows import Name, Rows

UPDATED = "updateAt"  # the writer's clock, without a zone


class Oddity(NamedTuple):
    """A running device that has not been heard of, or a pod whose device nobody knows."""

    found: Literal["silent", "without device"]
    name: Name
    what: str


def oddities(rows: Rows, now: datetime, zone: tzinfo, heartbeat: timedelta) -> list[Oddity]:
    """In order of names. `now` is aware; `zone` is that of the writers' clocks."""
    return sorted([*_silent(rows, now, zone, heartbeat), *_without_device(rows)], key=lambda each: each.name)


def _silent(rows: Rows, now: datetime, zone: tzinfo, heartbeat: timedelta) -> Iterator[Oddity]:
    for name, row in rows.rows.items():
        if isinstance(row.values, Device) and row.values.connectionStatus != int(STOPPED):
            said = str(row.values.extra.get(UPDATED))
            try:
                heard = datetime.strptime(said, TIME).replace(tzinfo=zone)
            except ValueError:
                yield Oddity("silent", name, f"{UPDATED} is {said!r}")
                continue
            if now - heard > heartbeat:
                yield Oddity("silent", name, f"{UPDATED} is {said}, {int((now - heard).total_seconds())} s ago")


def _without_device(rows: Rows) -> Iterator[Oddity]:
    for name, row in rows.rows.items():
        if isinstance(row.values, Pod) and Name("device", row.values.deviceNameFk) not in rows.rows:
            yield Oddity("without device", name, row.values.deviceNameFk)
