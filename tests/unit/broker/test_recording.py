"""Readings in a recording, as the conversion of recordings reads it: whole tables compared."""

import csv
import json
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks import recording
from fieldpipe.broker.sinks.envelope import DEEPEST, envelope
from fieldpipe.recordings.convert import convert
from tests.unit.broker.readings import START, reading

SEED = b'{"id":"101", "name":"env-sensor", "temp":"25.6", "hum":"52.4"}'
HEAD = ("log_time", "publish_time", "sequence", "id", "received", "collector", "device", "content_type")


def tables(readings: list[Reading], folder: Path) -> dict[str, list[dict[str, str]]]:
    """What the conversion makes of them: the rows of each table, without the columns that the others repeat."""
    (folder / "out").mkdir()
    (folder / "readings.mcap").write_bytes(recording.record(readings))
    converted = convert(folder / "readings.mcap", folder / "out", processed_at="")
    assert (converted.warnings, converted.errors) == ([], [])
    assert {output.kind for output in converted.outputs} == {"table"}
    found = {}
    for output in converted.outputs:
        with output.path.open(newline="") as file:
            rows = [*csv.DictReader(file)]
        assert tuple(rows[0])[: len(HEAD)] == HEAD
        found[output.name] = [{name: cell for name, cell in row.items() if name not in HEAD} for row in rows]
    return found


def test_members_of_the_payload_are_columns(tmp_path: Path) -> None:
    (tmp_path / "readings.mcap").write_bytes(recording.record([reading(payload=SEED)]))
    (tmp_path / "out").mkdir()

    (output,) = convert(tmp_path / "readings.mcap", tmp_path / "out", processed_at="").outputs

    assert output.name == "webhook.csv"
    assert output.path.read_text() == (
        "log_time,publish_time,sequence,id,received,collector,device,content_type,"
        "payload.id,payload.name,payload.temp,payload.hum\n"
        f"{START},{START},0,{'0' * 32},2025-11-22T15:40:00.123456789Z,webhook,,application/json,"
        "101,env-sensor,25.6,52.4\n"
    )


def test_each_collector_and_device_has_a_table_with_the_members_of_all_its_readings(tmp_path: Path) -> None:
    found = tables(
        [
            reading(1, b'{"a":1}', collector="mqtt", metadata='{"topic":"home/kitchen"}'),
            reading(2, b'{"b":{"c":null}}', collector="mqtt", metadata='{"topic":"home/kitchen","qos":1}'),
            reading(3, b'{"a":2}', collector="mqtt"),
            reading(4, b'{"b":{"c":[1, 2.50],"d":"x"}}', collector="mqtt", metadata='{"topic":"home/kitchen"}'),
        ],
        tmp_path,
    )

    kitchen = {"metadata.topic": "home/kitchen", "metadata.qos": "", "payload.a": "", "payload.b.c": ""}
    assert found == {
        "mqtt.csv": [{"payload.a": "2"}],
        "mqtt__home__kitchen.csv": [
            kitchen | {"payload.a": "1", "payload.b.d": ""},
            kitchen | {"metadata.qos": "1", "payload.b.d": ""},
            kitchen | {"payload.b.c": "[1,2.5]", "payload.b.d": "x"},
        ],
    }


def test_a_member_that_is_an_object_only_sometimes_is_one_cell(tmp_path: Path) -> None:
    found = tables([reading(1, b'{"a":{"b":1}}'), reading(2, b'{"a":2}'), reading(3, b'{"a":{"c":3}}')], tmp_path)

    assert found == {"webhook.csv": [{"payload.a": '{"b":1}'}, {"payload.a": "2"}, {"payload.a": '{"c":3}'}]}


def test_what_is_no_json_object_is_text_or_base64(tmp_path: Path) -> None:
    payloads = (b"12.5\r\n", b"\x00\xff", b"[1,2]", b'{"a":', "温度".encode(), b"", b"\xef\xbb\xbf{}", b"a\0b")

    found = tables([reading(number, payload) for number, payload in enumerate(payloads)], tmp_path)

    cells = [(row["text"], row["bytes"]) for row in found["webhook.csv"]]
    assert cells == [
        ("12.5\r\n", ""),
        ("", "AP8="),
        ("[1,2]", ""),
        ('{"a":', ""),
        ("温度", ""),
        ("", ""),
        ("\ufeff{}", ""),
        ("", "YQBi"),
    ]


def test_a_payload_that_no_table_could_hold_is_one_cell(tmp_path: Path) -> None:
    wide = json.dumps({f"k{number}": number for number in range(recording.MOST_COLUMNS + 1)}, separators=(",", ":"))
    deep = '{"a":' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1)

    found = tables([reading(1, wide.encode(), collector="wide"), reading(2, deep.encode(), collector="deep")], tmp_path)

    assert found == {"wide.csv": [{"payload": wide}], "deep.csv": [{"text": deep}]}


def test_names_that_nobody_expects(tmp_path: Path) -> None:
    hostile = '{"device":"../\\ud800\\u0000=cmd()' + "x" * 500 + '","n":1e999}'

    (name,) = tables([reading(collector="../../etc/passwd", metadata=hostile)], tmp_path)

    assert not {"/", "\0"} & set(name)
    assert len(name) < 200


def test_the_same_readings_give_the_same_bytes_and_their_ids_are_found_again() -> None:
    readings = [reading(number, bytes([number]) * 1000) for number in range(100)]

    recorded = recording.record(readings)

    assert recorded == recording.record(readings)
    assert recording.ids(recorded) == {each.id for each in readings}


def test_what_is_no_recording_says_so() -> None:
    with pytest.raises(recording.NotOurs):
        recording.ids(b"something else")
    with pytest.raises(recording.NotOurs):
        recording.ids(recording.record([reading()])[:-20])


@given(
    st.binary(max_size=50)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode())
)
def test_an_envelope_holds_exactly_what_came(payload: bytes) -> None:
    opened = json.loads(envelope(reading(payload=payload, metadata='{"device":"a"}')).text)

    assert opened.pop("received") == "2025-11-22T15:40:00.123456789Z"
    (name,) = set(opened) - {"id", "collector", "device", "content_type", "metadata"}
    if name == "payload":
        assert opened[name] == json.loads(payload)
    elif name == "text":
        assert opened[name].encode() == payload
    else:
        assert b64decode(opened[name]) == payload
