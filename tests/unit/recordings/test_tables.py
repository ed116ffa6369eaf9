"""Whole recordings into tables (the facts' rules 1, 3, 6, 7, 9, 11, 12)."""

import csv
import hashlib
import io
import struct
import zlib
from dataclasses import dataclass

import pytest
from mcap.writer import Writer

from fieldpipe.errors import PermanentError
from fieldpipe.recordings import ordering, tables
from fieldpipe.recordings.names import Names
from fieldpipe.recordings.picture import jpeg
from tests.builders import MILLISECOND, START, Channel, json_topic, mcap, ros2, sent
from tests.unit.recordings.conftest import Convert

NUMBERS = ros2("/numbers", "int64 number")
HEADER = "log_time,publish_time,sequence"


def row(index: int, *cells: object) -> str:
    """A row of the builder's index-th message."""
    log_time = START + index * MILLISECOND
    return ",".join(map(str, (log_time, log_time - 1000, index, *cells)))


def test_a_topic_becomes_a_table_with_exact_times(convert: Convert) -> None:
    result = convert(mcap(sent(NUMBERS, {"number": 7}, {"number": -8})))

    assert result.rows("numbers.csv") == [f"{HEADER},number", row(0, 7), row(1, -8)]


def test_a_topic_without_messages_is_a_header(convert: Convert) -> None:
    result = convert(mcap([], declared=[NUMBERS, json_topic("/json")]))

    assert result.files == {"numbers.csv": f"{HEADER},number\n".encode(), "json.csv": f"{HEADER},json\n".encode()}


def test_a_message_without_fields_is_a_row_of_times(convert: Convert) -> None:
    assert convert(mcap(sent(ros2("/ping", ""), {}))).rows("ping.csv") == [HEADER, row(0)]


def test_the_events_of_a_service_are_a_table(convert: Convert) -> None:
    channel = ros2("/add/_service_event", "int64 a\nint64 b\n---\nint64 sum\n", "x_msgs/srv/Add_Event")
    info = {"event_type": 1, "stamp": 5, "client_gid": bytes(16), "sequence_number": 3}

    result = convert(mcap(sent(channel, {"info": info, "request": [{"a": 1, "b": 2}], "response": []})))

    (found,) = csv.DictReader(io.StringIO(result.files["add___service_event.csv"].decode()))
    assert (found["info.event_type"], found["info.stamp"], found["info.sequence_number"]) == ("1", "5", "3")
    assert (found["request"], found["response"]) == ('[{"a":1,"b":2}]', "[]")


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        (Channel("/odd", "octets"), "message encoding 'octets' with schema encoding '' is not supported"),
        (
            Channel("/odd", "ros1", "a/B", "ros2msg", "int32 x"),
            "message encoding 'ros1' with schema encoding 'ros2msg'",
        ),
        (Channel("/odd", "ros1", "a/B", "ros1msg", "!"), "a/B: cannot read the line '!'"),
        (Channel("/odd", "cdr", "a/B", "ros2idl", "module a { union B {}; };"), "a::B: union of IDL is not supported"),
        (Channel("/odd", "cdr"), "message encoding 'cdr' with schema encoding ''"),
        (Channel("/odd", "cdr", "a/msg/B", "ros2msg", "Missing x"), "the definition of a/Missing is missing"),
        (Channel("/odd", "json", "B", "jsonschema", "{"), "the JSON schema is not JSON"),
    ],
)
def test_what_cannot_be_read_is_kept_raw_and_costs_its_topic_only(
    channel: Channel, reason: str, convert: Convert
) -> None:
    odd = [(channel, START, b"first"), (channel, START + 5, b"second one")]

    result = convert(mcap([*odd, *sent(NUMBERS, {"number": 1})]))

    assert sorted(result.files) == ["numbers.csv", "odd.raw.bin", "odd.raw.csv"]
    assert result.files["odd.raw.bin"] == b"firstsecond one"
    index = list(csv.DictReader(io.StringIO(result.files["odd.raw.csv"].decode())))
    assert [(found["log_time"], found["offset"], found["length"]) for found in index] == [
        (str(START), "0", "5"),
        (str(START + 5), "5", "10"),
    ]
    assert reason in index[0]["reason"]
    assert any("topic /odd: no table" in error and reason in error for error in result.manifest["errors"])


def test_payloads_that_do_not_decode_are_counted_kept_and_never_rows(convert: Convert) -> None:
    good = sent(NUMBERS, {"number": 1}, {"number": 2})
    bad = (NUMBERS, START + 2 * MILLISECOND, b"\0\1\0\0" + bytes(40))

    result = convert(mcap([good[0], bad, good[1]]))

    assert [line.rpartition(",")[2] for line in result.rows("numbers.csv")] == ["number", "1", "2"]
    assert result.files["numbers.raw.bin"] == bad[2]
    assert "32 bytes are left" in result.rows("numbers.raw.csv")[1]
    assert result.manifest["errors"][0].startswith("topic /numbers: 1 of 3 messages could not be decoded")
    assert result.manifest["totals"]["rows"] == 2


def test_json_with_more_than_its_schema_names_is_a_row_and_kept_whole(convert: Convert) -> None:
    channel = json_topic("/status", {"type": "object", "properties": {"ok": {"type": "boolean"}}})

    result = convert(mcap(sent(channel, {"ok": True}, {"ok": False, "why": "hot"})))

    assert result.rows("status.csv") == [f"{HEADER},ok", row(0, "true"), row(1, "false")]
    assert result.files["status.raw.bin"] == b'{"ok": false, "why": "hot"}'
    assert result.manifest["warnings"] == [
        "topic /status: 1 messages hold more than the schema names; see status.raw.csv"
    ]
    assert result.manifest["errors"] == []


def test_one_topic_with_two_schemas_becomes_two_tables(convert: Convert) -> None:
    other = ros2("/numbers", "string text")

    result = convert(mcap([*sent(NUMBERS, {"number": 1}), *sent(other, {"text": "x"})]))

    assert len(result.files) == 2
    assert all(name.startswith("numbers~") and len(name) == len("numbers~01234567.csv") for name in result.files)
    assert sorted(content.decode().splitlines()[1].rpartition(",")[2] for content in result.files.values()) == [
        "1",
        "x",
    ]


@dataclass(frozen=True)
class OtherPublisher(Channel):
    """Of the same topic and schema, with a number of its own."""


OTHER_NUMBERS = OtherPublisher("/numbers", "cdr", NUMBERS.schema, "ros2msg", NUMBERS.text)


def test_publishers_of_one_topic_and_schema_share_its_table_in_the_order_of_the_file(convert: Convert) -> None:
    messages = [
        (channel, START, channel.encode({"number": n})) for n, channel in enumerate([NUMBERS, OTHER_NUMBERS] * 3)
    ]

    result = convert(mcap(messages))

    assert [line.rpartition(",")[2] for line in result.rows("numbers.csv")[1:]] == list("012345")
    assert result.manifest["warnings"] == []


def test_publishers_of_one_topic_whose_times_go_backwards_between_them_are_sorted(convert: Convert) -> None:
    times = [(NUMBERS, 0), (OTHER_NUMBERS, 2), (NUMBERS, 1), (OTHER_NUMBERS, 3)]
    messages = [(channel, START + time, channel.encode({"number": time})) for channel, time in times]

    result = convert(mcap(messages))

    assert [line.rpartition(",")[2] for line in result.rows("numbers.csv")[1:]] == list("0123")
    assert result.manifest["warnings"] == ["topic /numbers: log times went backwards; the rows were sorted"]


def test_names_of_topics_are_safe_and_never_meet() -> None:
    names = Names()
    topics = ["/a/b", "/a__b", "a/b", "/A/b", "", "/", "..", "/manifest.json", "/x.csv", "/x", "/x.raw", "/é ü", "/%2E"]
    topics += ["/" + "long" * 100, "/" + "long" * 100 + "er", "/a\n\u202eb", "\0"]

    found = [names.of(topic) for topic in topics]

    assert found[0] == "a__b"
    assert len({name.casefold() for name in found}) == len(topics)
    assert all(name.isprintable() and not set(name) & set("./\\") and len(name.encode()) < 200 for name in found)
    assert [names.of(topic) for topic in topics] == found


def test_rows_keep_the_order_of_the_file_and_are_sorted_only_where_it_goes_backwards(convert: Convert) -> None:
    times = [5, 7, 7, 6, 9, 5]
    channel = ros2("/late", "string text")
    messages = [(channel, START + time, channel.encode({"text": f'{n}\n"x"'})) for n, time in enumerate(times)]

    result = convert(mcap([*messages, *sent(NUMBERS, {"number": 1}, {"number": 2})]))

    found = list(csv.DictReader(io.StringIO(result.files["late.csv"].decode())))
    assert [(int(row["log_time"]) - START, row["text"][0]) for row in found] == [
        (5, "0"),
        (5, "5"),
        (6, "3"),
        (7, "1"),
        (7, "2"),
        (9, "4"),
    ]
    assert result.manifest["warnings"] == ["topic /late: log times went backwards; the rows were sorted"]


def test_sorting_is_stable_over_any_number_of_runs(monkeypatch: pytest.MonkeyPatch, convert: Convert) -> None:
    monkeypatch.setattr(ordering, "RUN_BYTES", 100)
    monkeypatch.setattr(ordering, "MERGE_WIDTH", 3)
    times = [(n * 7919) % 50 for n in range(500)]
    messages = [(NUMBERS, time, NUMBERS.encode({"number": n})) for n, time in enumerate(times)]

    rows = convert(mcap([(c, t + START, p) for c, t, p in messages])).rows("numbers.csv")[1:]

    found = [(int(line.split(",")[0]) - START, int(line.split(",")[3])) for line in rows]
    assert found == sorted((time, n) for n, time in enumerate(times))


def test_compressed_pictures_are_files_and_the_table_is_their_index(convert: Convert) -> None:
    picture = jpeg([[0, 255], [128, 64]])
    png = b"\x89PNG\r\n\x1a\n" + b"rest"
    channel = ros2("/cam/compressed", "string format\nuint8[] data", "sensor_msgs/msg/CompressedImage")
    values = [{"format": "jpeg", "data": picture}, {"format": "png", "data": png}, {"format": "?", "data": b"odd"}]

    result = convert(mcap(sent(channel, *values)))

    index = list(csv.DictReader(io.StringIO(result.files["cam__compressed.csv"].decode())))
    assert [found["file"] for found in index] == [
        f"cam__compressed/{START + n * MILLISECOND}_{n}.{suffix}" for n, suffix in enumerate(("jpg", "png", "bin"))
    ]
    assert [result.files[found["file"]] for found in index] == [picture, png, b"odd"]
    assert [found["sha256"] for found in index] == [hashlib.sha256(c).hexdigest() for c in (picture, png, b"odd")]
    assert [found["bytes"] for found in index] == [str(len(c)) for c in (picture, png, b"odd")]


def test_pictures_of_one_topic_with_two_schemas_do_not_overwrite_each_other(convert: Convert) -> None:
    channel = ros2("/cam", "uint8[] data", "sensor_msgs/msg/CompressedImage")
    other = ros2("/cam", "uint8[] data\nbool x", "sensor_msgs/msg/CompressedImage")

    result = convert(mcap([*sent(channel, {"data": b"1"}), *sent(other, {"data": b"2", "x": True})]))

    assert sorted(content for name, content in result.files.items() if name.endswith(".bin")) == [b"1", b"2"]


RAW_IMAGE = "uint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\nuint8[] data"


@pytest.mark.parametrize(
    ("encoding", "data", "step", "pixels"),
    [
        ("mono8", bytes(range(6)), 3, bytes(range(6))),
        ("mono8", b"\0\1\2\xee\3\4\5\xee", 4, bytes(range(6))),
        ("rgb8", bytes(range(18)), 9, bytes(range(18))),
        ("bgr8", bytes(range(18)), 9, bytes([2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9, 14, 13, 12, 17, 16, 15])),
        ("bgra8", bytes(range(24)), 12, b"".join(bytes([n + 2, n + 1, n, n + 3]) for n in range(0, 24, 4))),
        ("mono16", struct.pack("<6H", *range(6)), 6, struct.pack(">6H", *range(6))),
    ],
)
def test_raw_pictures_become_png(encoding: str, data: bytes, step: int, pixels: bytes, convert: Convert) -> None:
    channel = ros2("/cam", RAW_IMAGE, "sensor_msgs/msg/Image")
    value = {"height": 2, "width": 3, "encoding": encoding, "is_bigendian": 0, "step": step, "data": data}

    result = convert(mcap(sent(channel, value)))

    (content,) = (content for name, content in result.files.items() if name.endswith(".png"))
    line = len(pixels) // 2
    assert png_pixels(content) == b"\0" + pixels[:line] + b"\0" + pixels[line:]


@pytest.mark.parametrize(("encoding", "size"), [("32FC1", 24), ("mono8", 5), ("rgb8", 6)])
def test_raw_pictures_that_png_cannot_hold_keep_their_bytes(encoding: str, size: int, convert: Convert) -> None:
    channel = ros2("/cam", RAW_IMAGE, "sensor_msgs/msg/Image")
    value = {"height": 2, "width": 3, "encoding": encoding, "is_bigendian": 0, "step": 3, "data": bytes(range(size))}

    result = convert(mcap(sent(channel, value)))

    assert [content for name, content in result.files.items() if name.endswith(".bin")] == [bytes(range(size))]


@pytest.mark.parametrize(
    "text", ["uint8[] data", "string width\nuint32 height\nuint32 step\nuint8[] data", "int8[] data"]
)
def test_what_only_calls_itself_an_image_does_no_harm(text: str, convert: Convert) -> None:
    channel = ros2("/cam", text, "sensor_msgs/msg/Image")
    value = {"width": "wide", "height": 2, "step": 3, "data": [1, 2, 3]}

    result = convert(mcap(sent(channel, value)))

    assert len(result.rows("cam.csv")) == 2
    assert result.manifest["errors"] == []


def test_many_pictures_of_one_moment_are_stored_in_a_moment(convert: Convert) -> None:
    channel = ros2("/cam", "uint8[] data", "sensor_msgs/msg/CompressedImage")

    result = convert(record_of_one_time(channel, 3000))

    names = {line.split(",")[3] for line in result.rows("cam.csv")[1:]}
    assert len(names) == 3000
    assert names <= set(result.files)


def record_of_one_time(channel: Channel, count: int) -> bytes:
    """Messages that all have the same time and sequence, as from a recorder that knows neither."""
    file = io.BytesIO()
    writer = Writer(file)
    writer.start()
    assert channel.text is not None
    schema = writer.register_schema(channel.schema, channel.schema_encoding, channel.text.encode())
    number = writer.register_channel(channel.topic, channel.encoding, schema)
    for index in range(count):
        writer.add_message(number, START, channel.encode({"data": b"%d" % index}), START, 0)
    writer.finish()
    return file.getvalue()


def test_a_text_of_many_lines_is_sorted_in_no_time(convert: Convert) -> None:
    channel = ros2("/log", "string text")
    payload = channel.encode({"text": "line\n" * 200_000})

    result = convert(mcap([(channel, START + 1, payload), (channel, START, payload)]))

    assert len(result.files["log.csv"]) > 2_000_000


def png_pixels(content: bytes) -> bytes:
    """The lines of a PNG, each behind its filter byte; the CRCs are checked."""
    position, data = 8, b""
    while position < len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        body = content[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", content, position + 8 + length)[0] == zlib.crc32(kind + body)
        data += body if kind == b"IDAT" else b""
        position += 12 + length
    return zlib.decompress(data)


def test_more_topics_than_anybody_can_use_are_refused(convert: Convert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_TABLES", 10)

    with pytest.raises(PermanentError, match="too_many_topics: more than 10; split the recording"):
        convert(mcap([], declared=[Channel(f"/t{n}", "json") for n in range(11)]))


def test_thousands_of_topics_need_no_open_file_each(convert: Convert) -> None:
    channels = [json_topic(f"/t{n}") for n in range(1100)]

    result = convert(mcap([message for channel in channels for message in sent(channel, {"n": 1})], chunk_size=10**6))

    assert len(result.files) == 1100
