"""Readings -> a recording (MCAP, https://mcap.dev/spec) whose conversion gives a table per collector and device.

The conversion takes its columns from a schema and never guesses. So each topic gets the schema of what its readings
hold, with every member that any of them has. The same readings give the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks.envelope import envelope

MOST_COLUMNS = 500  # of a table; members of topics with more stay together, as JSON in one cell
LONGEST_TOPIC = 200  # characters; devices that share them share a table, where a column tells them apart

_CHUNK = 1024 * 1024  # bytes
_FIXED = ("id", "received", "collector", "device", "content_type")

Shape = dict[str, Any] | None
"""What the values of a member have in common: objects (or null) with these members. None: some are something else."""


class NotOurs(ValueError):
    """No recording of readings."""


def record(readings: Sequence[Reading]) -> bytes:
    """The recording."""
    envelopes = [(topic(reading), reading.received, envelope(reading)) for reading in readings]
    shapes: dict[str, dict[str, Shape]] = {}
    for name, _, (_, varying) in envelopes:
        shape = shapes.setdefault(name, {})
        for member, value in varying.items():
            shape[member] = _merged(shape.get(member, {}), value)
    file = BytesIO()
    writer = Writer(file, chunk_size=_CHUNK, compression=CompressionType.ZSTD)
    writer.start(profile="", library="fieldpipe")
    channels = {name: _register(writer, name, shape) for name, shape in shapes.items()}
    counts: Counter[str] = Counter()
    for name, received, (text, _) in envelopes:
        writer.add_message(channels[name], received, text, publish_time=received, sequence=counts[name])
        counts[name] += 1
    writer.finish()  # type: ignore[no-untyped-call]  # the library leaves this one method untyped
    return file.getvalue()


def ids(recording: bytes) -> set[str]:
    """Of the readings in it. Raises NotOurs."""
    try:
        messages = make_reader(BytesIO(recording)).iter_messages(log_time_order=False)
        return {json.loads(message.data)["id"] for _, _, message in messages}
    except (McapError, ValueError, KeyError, TypeError) as error:
        raise NotOurs(f"{type(error).__name__}: {error}") from error


def topic(reading: Reading) -> str:
    """Which table a reading belongs to."""
    name = f"{reading.collector}/{reading.device}" if reading.device else reading.collector
    return name.encode(errors="backslashreplace").decode()[:LONGEST_TOPIC]


def _merged(shape: Shape, value: Any) -> Shape:
    """The shape that fits this value too."""
    if value is None or shape is None:
        return shape
    if not isinstance(value, dict):
        return None
    for name, inner in value.items():
        shape[name] = _merged(shape.get(name, {}), inner)
    return shape


def _register(writer: Writer, name: str, shape: dict[str, Shape]) -> int:
    columns = dict.fromkeys(_FIXED) | {
        member: inner if _columns(inner) <= MOST_COLUMNS else None for member, inner in shape.items()
    }
    text = json.dumps({"title": "Reading"} | _schema(columns))
    return writer.register_channel(name, "json", writer.register_schema("Reading", "jsonschema", text.encode()))


def _columns(shape: Shape) -> int:
    return sum(map(_columns, shape.values())) if shape else 1


def _schema(shape: Shape) -> dict[str, Any]:
    if not shape:
        return {}
    return {"type": "object", "properties": {name: _schema(inner) for name, inner in shape.items()}}
