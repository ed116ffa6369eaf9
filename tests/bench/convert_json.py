"""A recording of JSON messages with a schema: telemetry of a vehicle, and a log of what it does."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from mcap.writer import CompressionType, Writer

from fieldpipe.recordings.synthetic import CHUNK_SIZE, SECOND

START = 1_760_000_000 * SECOND
TICK = SECOND // 100
_NUMBER = {"type": "number"}
_POINT = {"type": "object", "properties": {"x": _NUMBER, "y": _NUMBER, "z": _NUMBER}}
_STAMP = {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}
_TELEMETRY = {
    "type": "object",
    "title": "Telemetry",
    "properties": {
        "stamp": _STAMP,
        "position": _POINT,
        "velocity": _POINT,
        "battery": {"type": "object", "properties": {"volts": _NUMBER, "amperes": _NUMBER, "percent": _NUMBER}},
        "mode": {"type": "string"},
        "armed": {"type": "boolean"},
        "satellites": {"type": "integer"},
    },
}
_LOG = {
    "type": "object",
    "title": "Log",
    "properties": {
        "stamp": _STAMP,
        "level": {"type": "string"},
        "text": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}
_MODES = ("auto", "auto", "auto", "manual", "return")


def write_json(path: Path, *, seed: int, messages: int) -> None:
    """Write that many messages: nine of telemetry, one of the log."""
    dice = random.Random(seed)
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=CHUNK_SIZE, compression=CompressionType.ZSTD)
        writer.start(profile="", library="fieldpipe bench")
        telemetry, log = _register(writer, "/telemetry", _TELEMETRY), _register(writer, "/log", _LOG)
        for number in range(messages):
            time = START + number * TICK + dice.randrange(TICK // 10)
            channel, value = (log, _entry(number, dice)) if number % 10 == 9 else (telemetry, _state(dice))
            value = {"stamp": {"sec": time // SECOND, "nsec": time % SECOND}, **value}
            data = json.dumps(value, separators=(",", ":")).encode()
            writer.add_message(channel, log_time=time + 150_000, publish_time=time, sequence=number, data=data)
        writer.finish()


def _register(writer: Writer, topic: str, schema: dict[str, Any]) -> int:
    known = writer.register_schema(schema["title"], "jsonschema", json.dumps(schema).encode())
    return writer.register_channel(topic, "json", known)


def _state(dice: random.Random) -> dict[str, Any]:
    return {
        "position": {"x": dice.gauss(0, 20), "y": dice.gauss(0, 20), "z": dice.gauss(50, 5)},
        "velocity": {"x": dice.gauss(0, 2), "y": dice.gauss(0, 2), "z": dice.gauss(0, 0.2)},
        "battery": {"volts": dice.gauss(22, 1), "amperes": dice.gauss(8, 2), "percent": round(100 * dice.random(), 1)},
        "mode": dice.choice(_MODES),
        "armed": True,
        "satellites": dice.randrange(6, 20),
    }


def _entry(number: int, dice: random.Random) -> dict[str, Any]:
    return {
        "level": dice.choice(("info", "info", "warning")),
        "text": f'waypoint {number}, "{dice.choice(_MODES)}" at {dice.gauss(50, 5):.2f} m',
        "tags": ["navigation", "waypoint"],
    }
