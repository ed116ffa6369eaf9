"""What stands in etcd about devices and pods: keys, values, and what they say.

    /Device/<device>/<status>       {"deviceName", "projectSymbolFk", "deviceIp", "connectionStatus", "os", "updateAt"}
    /Pod/<device>/<status>/<pod>    {"podName", "imageName", "deviceNameFk", "deployedAt", "currentVersion",
                                     "latestVersion", "status", "updateAt"}

The status is 0 (alive) or 1 (stopped); 1 in the key overrides what the value says. Other fields of a value are kept as
they are. Source: titaniadb-sentinel and kube-etcd-sentinel, their README and code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from fieldpipe.errors import PermanentError

FIRST, BEHIND = b"/Device/", b"/Pod0"  # a range of keys that holds all of ours, and those of others
MAX_NAME = 255  # characters
MAX_DEPTH = 100  # of a value
MAX_SHOWN = 300  # characters of what is malformed, in a message
STOPPED = "1"

_PREFIXES = (b"/Device/", b"/Pod/")
_NAME = rf"[^/\0]{{1,{MAX_NAME}}}"
_KEY = re.compile(
    rf"/Device/(?P<device>{_NAME})/(?P<status>[01])|/Pod/(?P<on>{_NAME})/(?P<state>[01])/(?P<pod>{_NAME})"
)
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")
_FIRST_YEAR = 1000
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
TIME = "%Y-%m-%d %H:%M:%S"
_NAMES = {"deviceName", "podName"}
_DEVICE = _NAMES | {"projectSymbolFk", "deviceIp", "connectionStatus", "os"}
_POD = _NAMES | {"imageName", "deviceNameFk", "deployedAt", "currentVersion", "latestVersion", "status"}


class Entry(NamedTuple):
    """A key of etcd and its value, at the revision that wrote it."""

    key: bytes
    value: bytes
    mod_revision: int


class Event(NamedTuple):
    """A change of a key. None: it was deleted."""

    key: bytes
    value: bytes | None
    mod_revision: int


class Changes(NamedTuple):
    """Everything of ours that one revision of etcd changed."""

    revision: int
    events: tuple[Event, ...]


class Progress(NamedTuple):
    """Everything up to this revision has been delivered."""

    revision: int


class BadEntry(PermanentError):
    """A key or a value is malformed. The message names the key."""


class Place(NamedTuple):
    """What a key says. A device's place has no pod."""

    device: str
    status: str
    pod: str | None = None

    @property
    def name(self) -> str:
        """That of the row."""
        return self.pod or self.device


@dataclass(frozen=True, slots=True)
class Device:
    """A row of `device`. The fields are named as its columns are, which others read."""

    deviceName: str
    projectSymbolFk: str | None
    deviceIp: str
    connectionStatus: int
    os: str | None
    extra: Mapping[str, Any] = field(default_factory=dict)  # fields of the value that have no column


@dataclass(frozen=True, slots=True)
class Pod:
    """A row of `pod`."""

    podName: str
    imageName: str | None
    deviceNameFk: str
    deployedAt: datetime | None  # as the writer's clock shows it, without a zone
    currentVersion: str | None
    latestVersion: str | None
    status: str
    extra: Mapping[str, Any] = field(default_factory=dict)


def is_ours(key: bytes) -> bool:
    """Whether a key is about a device or a pod at all; it may be malformed."""
    return key.startswith(_PREFIXES)


@lru_cache(maxsize=10_000)  # a key is looked at several times, and comes again with each of its changes
def parse_key(key: bytes) -> Place:
    """Raises BadEntry for one of ours that is malformed."""
    try:
        found = _KEY.fullmatch(key.decode())
    except UnicodeDecodeError:
        found = None
    if found is None:
        raise BadEntry(f"{_brief(key)}: not /Device/<device>/<0 or 1> or /Pod/<device>/<0 or 1>/<pod>")
    place = Place(found["device"] or found["on"], found["status"] or found["state"], found["pod"])
    if place.name != place.name.rstrip():  # databases take "a " for "a"
        raise BadEntry(f"{_brief(key)}: the name ends in white space")
    return place


def parse(entry: Entry) -> Device | Pod:
    """The row that a key and its value stand for. Raises BadEntry."""
    place = parse_key(entry.key)
    try:
        value = json.loads(entry.value)
        if not isinstance(value, dict):
            raise TypeError("the value is no JSON object")  # noqa: TRY301 -- one handler says where
        _require_shallow(entry.value, value)
        return _device(place, value) if place.pod is None else _pod(place, value)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadEntry(f"{_brief(entry.key)}, revision {entry.mod_revision}: {error}") from error


def _device(place: Place, value: dict[str, Any]) -> Device:
    _require_name(place.device, value.get("deviceName"))
    address = _text(value, "deviceIp")
    if not address:
        raise ValueError("deviceIp is missing")
    status = STOPPED if place.status == STOPPED else _text(value, "connectionStatus")
    if status not in ("0", STOPPED):
        raise ValueError(f"connectionStatus is {status!r}, not 0 or 1")
    extra = {name: each for name, each in value.items() if name not in _DEVICE}
    return Device(place.device, _text(value, "projectSymbolFk"), address, int(status), _text(value, "os"), extra)


def _pod(place: Place, value: dict[str, Any]) -> Pod:
    _require_name(place.name, value.get("podName"))
    status = STOPPED if place.status == STOPPED else _text(value, "status")
    if status is None:
        raise ValueError("status is missing")
    extra = {name: each for name, each in value.items() if name not in _POD}
    return Pod(
        place.name,
        _text(value, "imageName"),
        _text(value, "deviceNameFk") or place.device,
        _time(_text(value, "deployedAt")),
        _text(value, "currentVersion"),
        _text(value, "latestVersion"),
        status,
        extra,
    )


def _require_shallow(text: bytes, value: dict[str, Any]) -> None:
    """What can be parsed here may be too deep to be written as JSON again elsewhere."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:  # nearly always
        return
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [part for each in level for part in _parts(each)]
    if level:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _brief(said: object) -> str:
    """For a message."""
    text = repr(said)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _require_name(name: str, said: object) -> None:
    if said is not None and said != name:
        raise ValueError(f"the value is about {_brief(said)}")


def _text(value: dict[str, Any], name: str) -> str | None:
    """A field as its column takes it; numbers are taken for their text."""
    found = value.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, (str, int, float)):
        raise TypeError(f"{name} is no text")
    text = str(found)
    if len(text) > MAX_NAME or _NO_TEXT.search(text):
        raise ValueError(f"{name} cannot be stored: longer than {MAX_NAME} characters, or no text")
    return text


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    # As nearly all are written; strptime takes eight times as long.
    found = datetime.fromisoformat(text) if _TIME.fullmatch(text) else datetime.strptime(text, TIME)
    if found.year < _FIRST_YEAR:
        raise ValueError(f"deployedAt is {text!r}, before the years of databases")
    return found
