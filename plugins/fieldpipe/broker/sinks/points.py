"""A reading as a point of InfluxDB, in its line protocol, which is the same in version 1 and 2.

    mqtt,device=kitchen metadata_topic="kitchen",temp=25.6,place_floor=2.0,window_open=false 1763825400123456789

The measurement is the collector, the time that of the reading's arrival: no two readings of a broker have the same, so
a point that is written twice is one point. Fields are found as Telegraf's JSON parser finds them: names of members of
objects and arrays are joined, every number is a float (25 and then 25.6 would be a conflict of types otherwise). What
InfluxDB has no value for (null, NaN) is left out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks.sink import SinkRefused

HEARTBEAT = "__KRKN_HEATBEAT__"  # spelled as Kraken's heartbeaters send it, the measurement as its broker wrote it
HEARTBEAT_MEASUREMENT = "heatbeat"
SECONDS = (0, 9_223_372_036)  # since 1970, that are nanoseconds in 64 bits

_SECOND = 1_000_000_000  # nanoseconds
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_RESERVED = ("time", "device")  # InfluxDB's own column, and our tag: such a field gets a `_` behind its name
_NAME_ESCAPES = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\\": "/"})  # no name may end with a backslash
_TEXT_ESCAPES = str.maketrans({'"': r"\"", "\\": r"\\"})

Value = str | float | bool


def line(reading: Reading, tags: Collection[str] = ()) -> str:
    """One line, without its end. `tags` names fields that are tags instead. Raises SinkRefused."""
    try:
        content = _content(reading)
        values = [*_flat("metadata", reading.metadata), *_flat(_outermost(content), content)]
    except RecursionError as error:
        raise SinkRefused("its JSON is nested too deep for InfluxDB") from error
    if isinstance(content, dict) and content.get("eventType") == HEARTBEAT:
        return _heartbeat(content, reading.received)
    labels, fields = {"device": reading.device}, {}
    for name, value in values:
        if name in tags:
            labels[name] = value if isinstance(value, str) else _literal(value).removesuffix(".0")
        elif (field := _name(f"{name}_" if name in _RESERVED else name)) in fields:
            raise SinkRefused(f"two of its values would both be the field {field} of InfluxDB")
        else:
            fields[field] = _literal(value)
    if not fields:
        raise SinkRefused("there is no value in it that InfluxDB could hold")
    return _written(reading.collector, labels, fields, reading.received)


def _content(reading: Reading) -> Any:
    """The payload as JSON, else as text. Raises SinkRefused where it is neither."""
    try:
        text = reading.payload.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise SinkRefused(f"InfluxDB holds numbers and texts, and this {reading.content_type} is neither")
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except ValueError:
        return {"text": text}


def _heartbeat(content: Mapping[str, Any], received: int) -> str:
    """As Kraken's broker wrote it: with the sender's time, in seconds, where there is one."""
    said: Any = content.get("dt")
    is_time = isinstance(said, int | float) and not isinstance(said, bool) and SECONDS[0] < said < SECONDS[1]
    time = int(said * 1000) * (_SECOND // 1000) if is_time else received
    return _written(HEARTBEAT_MEASUREMENT, {"client_id": str(content.get("id", ""))}, {"ping": "1i"}, time)


def _outermost(content: Any) -> str:
    """The name of a value that has none."""
    return "" if isinstance(content, dict | list) else "value"


def _flat(name: str, value: Any) -> Iterator[tuple[str, Value]]:
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in inside:
            yield from _flat(f"{name}_{key}" if name else str(key), inner)
    elif isinstance(value, bool | str):
        yield name, value
    elif isinstance(value, int | float) and (number := _float(value)) is not None:
        yield name, number


def _float(number: float) -> float | None:
    try:
        found = float(number)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return '"' + value.encode("utf-8", "replace").decode().translate(_TEXT_ESCAPES) + '"'


def _written(measurement: str, tags: Mapping[str, str], fields: Mapping[str, str], time: int) -> str:
    head = _name(f"_{measurement}" if measurement.startswith("#") else measurement)  # else it is a comment
    labels = "".join(f",{_name(name)}={_name(value)}" for name, value in sorted(tags.items()) if value)
    return f"{head}{labels} {','.join(f'{name}={value}' for name, value in fields.items())} {time}"


def _name(text: str) -> str:
    """Of a measurement, a tag, a tag's value, a field."""
    return _UNPRINTABLE.sub("_", text or "_").translate(_NAME_ESCAPES)
