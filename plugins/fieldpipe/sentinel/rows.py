"""From the keys that are there to the rows that shall be: the one rule that the mirror, the audit and tests share.

A device may have two keys, 0 and 1, while its writer moves it; a pod may have keys below two devices. The newest key
counts, by the revision of etcd that wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from fieldpipe.sentinel.keys import BadEntry, Device, Entry, Place, Pod, parse, parse_key

Kind = Literal["device", "pod"]


class Name(NamedTuple):
    """Of which row of which table."""

    kind: Kind
    name: str


class Row(NamedTuple):
    """A row, and the key that it comes from."""

    values: Device | Pod
    entry: Entry


class Corrupt(NamedTuple):
    """An entry that says nothing, and why."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What etcd says at one revision. `corrupt`: the value of a row's newest key is malformed, so nobody knows it."""

    rows: Mapping[Name, Row]
    corrupt: Mapping[Name, Corrupt]
    bad_keys: tuple[Corrupt, ...]


def name_of(place: Place) -> Name:
    """The row that a key is about."""
    return Name("device" if place.pod is None else "pod", place.name)


def rows_of(entries: Iterable[Entry]) -> Rows:
    """All rows of a listing."""
    newest: dict[Name, Entry] = {}
    bad_keys: list[Corrupt] = []
    for entry in entries:
        try:
            name = name_of(parse_key(entry.key))
        except BadEntry as error:
            bad_keys.append(Corrupt(entry, str(error)))
            continue
        if name not in newest or _age(entry) > _age(newest[name]):
            newest[name] = entry
    rows: dict[Name, Row] = {}
    corrupt: dict[Name, Corrupt] = {}
    for name, entry in newest.items():
        try:
            rows[name] = Row(parse(entry), entry)
        except BadEntry as error:
            corrupt[name] = Corrupt(entry, str(error))
    return Rows(rows, corrupt, tuple(bad_keys))


def _age(entry: Entry) -> tuple[int, bytes]:
    """Of two keys that one transaction wrote the greater one counts: 1 before 0, in whatever order they are read."""
    return entry.mod_revision, entry.key
