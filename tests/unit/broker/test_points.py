"""Readings as points of InfluxDB: which line of its protocol each becomes."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldpipe.broker.sinks.points import line
from fieldpipe.broker.sinks.sink import SinkRefused
from tests.broker.influxdb2_stub import read_lines
from tests.unit.broker.readings import START, reading


@pytest.mark.parametrize(
    ("payload", "fields"),
    [
        (b'{"id":"101", "temp":"25.6"}', 'id="101",temp="25.6"'),
        (b'{"temp":25,"hum":52.4,"open":false}', "temp=25.0,hum=52.4,open=false"),
        (b'{"place":{"floor":2,"name":"hall"}}', 'place_floor=2.0,place_name="hall"'),
        (b'{"levels":[1,{"x":2}]}', "levels_0=1.0,levels_1_x=2.0"),
        (b'{"a":null,"b":NaN,"c":Infinity,"d":1e999,"e":1}', "e=1.0"),
        (b"25.6\r\n", "value=25.6"),
        (b'\xef\xbb\xbf{"t":1}', "t=1.0"),
        (b'[{"t":1},{"t":2}]', "0_t=1.0,1_t=2.0"),
        (b"door opened", 'text="door opened"'),
        (b"", 'text=""'),
        (b'{"broken":', 'text="{\\"broken\\":"'),
        ("温度".encode(), 'text="温度"'),
        (b'{"time":1,"device":"a"}', 'time_=1.0,device_="a"'),
        (b'{"a b":1,"c=d":2,"e,f":3,"g\\\\":4,"":5}', "a\\ b=1.0,c\\=d=2.0,e\\,f=3.0,g/=4.0,_=5.0"),
        (b'{"a\\nb":"x\\ny","c":"\\ud800"}', 'a_b="x\ny",c="?"'),
        (b'{"path":"C:\\\\x \\"y\\""}', 'path="C:\\\\x \\"y\\""'),
    ],
)  # fmt: skip
def test_values_become_fields(payload: bytes, fields: str) -> None:
    assert line(reading(payload=payload)) == f"webhook {fields} {START}"


def test_the_device_is_a_tag_and_what_else_is_said_are_fields() -> None:
    found = reading(3, b'{"t":1}', collector="mqtt", metadata='{"topic":"a, b=c\\\\","qos":1}')

    assert (
        line(found)
        == f'mqtt,device=a\\,\\ b\\=c/ metadata_topic="a, b=c\\\\",metadata_qos=1.0,t=1.0 {START + 3_000_000}'
    )


def test_a_collector_whose_name_would_be_a_comment_is_a_measurement() -> None:
    assert line(reading(payload=b"1", collector="#1")) == f"_#1 value=1.0 {START}"


def test_fields_may_be_made_tags() -> None:
    found = reading(payload=b'{"id":7,"place":{"name":"hall"},"on":true,"t":1}')

    assert line(found, {"id", "place_name", "on"}) == f"webhook,id=7,on=true,place_name=hall t=1.0 {START}"


def test_the_example_of_the_manual_is_true() -> None:
    manual = (Path(__file__).parents[3] / "docs/broker-sinks.md").read_text()
    payload = b'{"id":"101","temp":25,"place":{"floor":2},"open":false}'
    found = reading(payload=payload, collector="mqtt", metadata='{"topic":"kitchen"}')

    assert f"`{payload.decode()}`" in manual
    assert f"\n    {line(replace(found, received=1_795_363_200_123_456_789))}\n" in manual


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff\xd8\xff", "neither"),
        (bytes(12), "neither"),
        (b"5\0", "neither"),
        (b"{}", "no value"),
        (b'{"a":null}', "no value"),
        (b"[[" * 40_000 + b"]]" * 40_000, "nested"),
        (b'{"a_b":1,"a":{"b":2}}', "the field a_b of"),
        (b'{"a/":1,"a\\\\":2}', "the field a/ of"),
    ],
)
def test_what_influxdb_cannot_hold_is_refused_with_the_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(SinkRefused, match=reason):
        line(reading(payload=payload, content_type="application/octet-stream"))


@pytest.mark.parametrize(
    ("heartbeat", "expected"),
    [
        ({"id": "edge 1", "dt": 1763825400}, "heatbeat,client_id=edge\\ 1 ping=1i 1763825400000000000"),
        ({"id": "e", "dt": 1763825400.25}, "heatbeat,client_id=e ping=1i 1763825400250000000"),
        ({"id": "e"}, f"heatbeat,client_id=e ping=1i {START}"),
        ({"id": "e", "dt": "now"}, f"heatbeat,client_id=e ping=1i {START}"),
        ({"id": "e", "dt": 1e300}, f"heatbeat,client_id=e ping=1i {START}"),
    ],
)
def test_a_heartbeat_is_a_ping_of_its_client(heartbeat: dict[str, object], expected: str) -> None:
    payload = json.dumps({"eventType": "__KRKN_HEATBEAT__", **heartbeat}).encode()

    assert line(reading(payload=payload, collector="mqtt")) == expected


names = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\\_"), min_size=1, max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)


@given(st.dictionaries(names, scalars, max_size=6), names, names)
def test_any_json_is_one_line_with_all_its_values(values: dict[str, object], collector: str, device: str) -> None:
    values["always"] = True
    found = reading(payload=json.dumps(values).encode(), collector=collector, metadata=json.dumps({"device": device}))

    kept = [value for value in values.values() if value is not None and not _is_no_number(value)]
    ((_, fields, time),) = read_lines(line(found))

    told = [value for name, value in fields.items() if name != "metadata_device"]
    assert time == START
    assert told == [value if isinstance(value, bool | str) else float(str(value)) for value in kept]


def _is_no_number(value: object) -> bool:
    return isinstance(value, int | float) and not math.isfinite(float(value))
