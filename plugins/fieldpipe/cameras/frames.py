"""One record -> the objects that it becomes, and its line in the manifest. Values in, values out.

The same record gives the same objects whichever run reads it, so two runs that write them do not disturb each other.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fieldpipe.cameras import layout
from fieldpipe.cameras.manifests import DeadRecord, Frame, Stream, dead_key
from fieldpipe.cameras.message import BadMessage, Message, Position, Record, Unseal, decode
from fieldpipe.cameras.sealing import parse_keys, unsealer
from fieldpipe.errors import ConfigurationError
from fieldpipe.handover import canonical_json
from fieldpipe.settings import CameraSettings


@dataclass(frozen=True, slots=True)
class Options:
    """How frames look as objects. `extensions` by topic, where they are not those of pictures."""

    zone: tzinfo = UTC
    timestamps: bool = True
    rfc3339: bool = False
    extensions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    unseal: Unseal | None = None


class Objects(NamedTuple):
    """What a record becomes: its line in the manifest, and contents by key."""

    entry: Frame | DeadRecord
    contents: dict[str, bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.contents.values()))


def options(settings: CameraSettings) -> Options:
    """Raises ConfigurationError that says which variable is wrong."""
    password = settings.password.get_secret_value() if settings.password else None
    keys = parse_keys(settings.keys.get_secret_value()) if settings.keys else {}
    return Options(
        zone=_zone(settings.zone),
        timestamps=settings.timestamps,
        rfc3339=settings.timestamp_format == "rfc3339",
        extensions=_extensions(settings.extensions),
        unseal=unsealer(keys, password) if keys or password else None,
    )


def objects_of(record: Record, stream: Stream, wanted: Options) -> Objects:
    """A record's objects: image and time, or, of what is no message of SINETStream, what it was and why."""
    position = Position(stream.topic, stream.partition, record.offset)
    if record.value is None:
        return _dead(record, stream, f"{position}: a tombstone, it has no value")
    try:
        return _frame(decode(record.value, position, wanted.unseal), record, stream, position, wanted)
    except BadMessage as error:
        return _dead(record, stream, str(error))


def _frame(message: Message, record: Record, stream: Stream, position: Position, wanted: Options) -> Objects:
    stem = layout.stem(position, record.time, wanted.zone, epoch=stream.epoch)
    extension = layout.SEALED if message.sealed else wanted.extensions.get(stream.topic, layout.IMAGE)
    contents = {stem + extension: message.payload}
    timestamp = None
    if wanted.timestamps and message.time:
        timestamp = stem + layout.TIMESTAMP
        contents[timestamp] = _time_text(message.time, position, wanted).encode()
    digest = hashlib.sha256(message.payload).hexdigest()
    frame = Frame(
        record.offset,
        record.time,
        message.time or None,
        stem + extension,
        len(message.payload),
        digest,
        timestamp,
        message.sealed,
    )
    return Objects(frame, contents)


def _time_text(time: int, position: Position, wanted: Options) -> str:
    if wanted.rfc3339:
        return layout.rfc3339_text(time, position, wanted.zone)
    return layout.timestamp_text(time, position)


def _dead(record: Record, stream: Stream, reason: str) -> Objects:
    key = dead_key(stream, record.offset)
    described = {
        **stream._asdict(),
        "offset": record.offset,
        "record_time": record.time,
        "key": None if record.key is None else base64.b64encode(record.key).decode(),
        "reason": reason,
    }
    contents = {f"{key}.json": canonical_json(described)}
    if record.value is not None:
        contents[f"{key}.bin"] = record.value
    return Objects(DeadRecord(record.offset, reason, f"{key}.json"), contents)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(f"CAMERA_ZONE: {name!r} is no time zone such as Asia/Tokyo") from error


def _extensions(text: str) -> Mapping[str, str]:
    """`topic=.json,other=.png`"""
    pairs = [entry.strip().partition("=") for entry in text.split(",") if entry.strip()]
    wrong = [topic for topic, _, extension in pairs if not extension.startswith(".") or "/" in extension]
    if wrong:
        raise ConfigurationError(f"CAMERA_EXTENSIONS: {', '.join(wrong)}: write topic=.json, with the dot")
    return MappingProxyType({topic: extension for topic, _, extension in pairs})
