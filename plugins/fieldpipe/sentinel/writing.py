"""Keys of devices and pods, as programs that describe them write them: each call is one transaction of etcd.

    with Etcd(settings) as etcd:
        put(etcd, subject("edge"), {"deviceIp": "10.0.0.1", "os": "Ubuntu 20.04"}, now)
        put(etcd, subject("edge/camera"), {"imageName": "camera", "currentVersion": "1.0"}, now)
        move(etcd, [subject("edge"), subject("edge/camera")], STOPPED, now)
        delete(etcd, [subject("edge/camera")])

`now` is the time that becomes `updateAt`, as a clock in the zone of the writers shows it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from fieldpipe.errors import PermanentError
from fieldpipe.sentinel.etcd import Conflict, Etcd
from fieldpipe.sentinel.keys import STOPPED, TIME, BadEntry, Entry, parse, parse_key

ALIVE = "0"
STATUSES = (ALIVE, STOPPED)

_ATTEMPTS = 5  # of a move, while others write the same keys


class NotThere(PermanentError):
    """etcd has no key of this device or pod."""


class Subject(NamedTuple):
    """A device, or a pod on it."""

    device: str
    pod: str | None = None

    def key(self, status: str) -> bytes:
        """Where it stands in etcd while it has this status."""
        place = ("Device", self.device, status) if self.pod is None else ("Pod", self.device, status, self.pod)
        return "/".join(("", *place)).encode()

    def __str__(self) -> str:
        return self.device if self.pod is None else f"{self.device}/{self.pod}"


def subject(text: str) -> Subject:
    """`edge` is a device, `edge/camera` a pod on it. Raises BadEntry."""
    device, slash, pod = text.partition("/")
    found = Subject(device, pod if slash else None)
    try:
        parse_key(found.key(ALIVE))
    except UnicodeEncodeError as error:
        raise BadEntry(f"{text!r}: {error}") from error
    return found


def put(etcd: Etcd, subject: Subject, fields: Mapping[str, Any], now: datetime, status: str = ALIVE) -> int:
    """Say what a device or a pod is now, instead of whatever was said before; returns the revision.

    Its name, the status and `updateAt` are filled in where `fields` do not have them. Raises BadEntry for a value that
    the watcher would refuse, EtcdUnavailable.
    """
    names = (
        {"deviceName": subject.device}
        if subject.pod is None
        else {"podName": subject.pod, "deviceNameFk": subject.device}
    )
    key, value = subject.key(status), _json(names | _changed(subject, status, now) | dict(fields))
    parse(Entry(key, value, 0))
    return etcd.transaction({key: value}, [subject.key(other) for other in STATUSES if other != status])


def delete(etcd: Etcd, subjects: Collection[Subject]) -> int:
    """Take all of them out of etcd, whatever their status; returns the revision. Raises NotThere, EtcdUnavailable."""
    for each in subjects:
        find(etcd, each)
    return etcd.transaction({}, [each.key(status) for each in subjects for status in STATUSES])


def move(etcd: Etcd, subjects: Collection[Subject], status: str, now: datetime) -> int | None:
    """Give all of them a status: their keys move, their values say so and when; nothing else of a value changes.

    Returns the revision, or None when all had that status. A value that somebody changes meanwhile is read again.
    Raises NotThere, BadEntry for a value that is no JSON object, Conflict when others write all the time,
    EtcdUnavailable: then it may have happened, and the same call again does no harm.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return _move(etcd, subjects, status, now)
        except Conflict:
            continue
    return _move(etcd, subjects, status, now)


def find(etcd: Etcd, subject: Subject) -> list[Entry]:
    """What stands in etcd about it; of two keys the one that counts is the last. Raises NotThere, EtcdUnavailable."""
    found = [entry for status in STATUSES if (entry := etcd.get(subject.key(status)))]
    if not found:
        raise NotThere(f"{subject}: etcd has neither {' nor '.join(subject.key(each).decode() for each in STATUSES)}")
    return sorted(found, key=lambda entry: (entry.mod_revision, entry.key))


def _move(etcd: Etcd, subjects: Iterable[Subject], status: str, now: datetime) -> int | None:
    puts: dict[bytes, bytes] = {}
    deletes: list[bytes] = []
    unchanged: dict[bytes, int] = {}
    for each in subjects:
        found, target = find(etcd, each), each.key(status)
        if [entry.key for entry in found] == [target]:
            continue
        unchanged |= dict.fromkeys(map(each.key, STATUSES), 0) | {entry.key: entry.mod_revision for entry in found}
        puts[target] = _json(_object(found[-1]) | _changed(each, status, now))
        deletes += [entry.key for entry in found if entry.key != target]
    return etcd.transaction(puts, deletes, unchanged) if puts else None


def _changed(subject: Subject, status: str, now: datetime) -> dict[str, Any]:
    return {"connectionStatus" if subject.pod is None else "status": status, "updateAt": now.strftime(TIME)}


def _object(entry: Entry) -> dict[str, Any]:
    try:
        value = json.loads(entry.value)
    except (ValueError, RecursionError) as error:
        raise BadEntry(f"{entry.key!r}, revision {entry.mod_revision}: {error}") from error
    if not isinstance(value, dict):
        raise BadEntry(f"{entry.key!r}, revision {entry.mod_revision}: the value is no JSON object")
    return value


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
