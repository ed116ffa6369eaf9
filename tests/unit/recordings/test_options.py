"""What a person may choose, and what becomes of it."""

import csv
import io
import json
import struct
from pathlib import Path

import pytest

from fieldpipe.errors import PermanentError
from fieldpipe.recordings.moments import Moment, Window, parse_moment
from fieldpipe.recordings.options import Options
from fieldpipe.recordings.single import convert_location
from fieldpipe.store import ObjectStore
from tests.builders import MILLISECOND, START, json_topic, mcap, robot_recording, ros2, sent, small_recording
from tests.unit.recordings.conftest import Convert

NUMBERS = ros2("/numbers", "int64 number")
LISTS = ros2(
    "/lists", "string name\nPoint[] points\nuint8[] data\n========\nMSG: test_msgs/Point\nfloat64 x\nfloat64 y"
)


def unconnected() -> ObjectStore:
    raise AssertionError("a local conversion connects to nothing")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01T00:00:00Z", Moment(START)),
        ("2026-01-01", Moment(START)),
        ("2026-01-01T01:00:00.000000001+01:00", Moment(START + 1)),
        ("2026-01-01T00:00:00.5", Moment(START + 500 * MILLISECOND)),
        ("1767225600000000007", Moment(START + 7)),
        ("+1.5", Moment(1_500_000_000, is_from_start=True)),
        ("1969-12-31T23:59:59.25Z", Moment(-750_000_000)),
    ],
)
def test_times_are_read_to_the_nanosecond(text: str, moment: Moment) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "+", "+x", "12:00", "2026-13-01", "+1e999999999", "+nan"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(PermanentError, match="is no time: write 2026-01-31T12:00:00Z"):
        parse_moment(text)


def test_an_empty_window_and_no_workers_are_refused() -> None:
    with pytest.raises(PermanentError, match="the time window is empty"):
        Options(start=5, end=5)
    with pytest.raises(PermanentError, match="0 workers"):
        Options(workers=0)


def test_topics_are_chosen_by_globs(convert: Convert) -> None:
    result = convert(robot_recording(), Options(topics=("/imu/*", "/od*")))

    assert sorted(result.files) == ["imu__data.csv", "odom.csv"]
    assert result.manifest["options"] == {"topics": ["/imu/*", "/od*"]}
    assert [topic["topic"] for topic in result.manifest["topics"]] == ["/imu/data", "/odom"]


def test_choices_that_nothing_answers_to_are_told(convert: Convert) -> None:
    nothing = convert(small_recording(1), Options(topics=("/imu", "/odom")))
    no_list = convert(small_recording(1), Options(explode=("poses",)))

    assert (nothing.files, nothing.manifest["warnings"]) == ({}, ["no topic is called /imu or /odom"])
    assert no_list.manifest["warnings"] == ["no topic has a list called poses"]


def test_a_window_holds_its_start_and_not_its_end(convert: Convert) -> None:
    content = mcap(sent(NUMBERS, *({"number": n} for n in range(10))), chunk_size=80)

    result = convert(content, Options(start=START + 3 * MILLISECOND, end=START + 6 * MILLISECOND))

    assert [line.rpartition(",")[2] for line in result.rows("numbers.csv")[1:]] == ["3", "4", "5"]
    assert result.manifest["options"] == {"start": START + 3 * MILLISECOND, "end": START + 6 * MILLISECOND}
    assert result.manifest["health"]["chunks_skipped"] > 0


@pytest.mark.parametrize("summary", [True, False])
def test_seconds_count_from_the_start_of_the_recording(summary: bool, tmp_path: Path) -> None:
    source = tmp_path / "a.mcap"
    source.write_bytes(mcap(sent(NUMBERS, *({"number": n} for n in range(10))), chunk_size=80, summary=summary))
    window = Window(parse_moment("+0.007"), None)

    result = convert_location(str(source), str(tmp_path / "out"), unconnected, window=window)

    assert result.manifest["options"] == {"start": START + 7 * MILLISECOND}
    assert result.manifest["totals"]["rows"] == 3


def test_elements_of_a_list_become_rows(convert: Convert) -> None:
    value = {"name": "a", "points": [{"x": 1, "y": 2}, {"x": 3, "y": 4}], "data": b"\1\2"}

    result = convert(mcap(sent(LISTS, value, {"name": "b", "points": [], "data": b""})), Options(explode=("points",)))

    rows = list(csv.DictReader(io.StringIO(result.files["lists.csv"].decode())))
    assert [(row["name"], row["points.x"], row["points.y"], row["data"]) for row in rows] == [
        ("a", "1.0", "2.0", "[1,2]"),
        ("a", "3.0", "4.0", "[1,2]"),
        ("b", "", "", "[]"),
    ]
    assert result.manifest["warnings"] == []


def test_bytes_may_be_base64(convert: Convert) -> None:
    value = {"name": "a", "points": [], "data": b"\1\2"}

    result = convert(mcap(sent(LISTS, value)), Options(base64=True))

    assert result.rows("lists.csv")[1].endswith(",a,[],AQI=")


def test_texts_and_headers_may_be_kept_from_being_formulas(convert: Convert) -> None:
    topic = json_topic("/sheet", {"type": "object", "properties": {"=a": {"type": "string"}, "b": {"type": "number"}}})

    result = convert(mcap(sent(topic, {"=a": "@sum", "b": -1})), Options(formula_safe=True))

    assert [line.split(",")[3:] for line in result.rows("sheet.csv")] == [["'=a", "b"], ["'@sum", "-1"]]


def test_pictures_may_be_left_out(convert: Convert) -> None:
    channel = ros2("/cam", "string format\nuint8[] data\nint8 x", "sensor_msgs/msg/CompressedImage")

    result = convert(mcap(sent(channel, {"format": "jpeg", "data": b"123", "x": 7})), Options(images=False))

    assert list(result.files) == ["cam.csv"]
    assert [line.split(",")[3:] for line in result.rows("cam.csv")] == [["format", "data", "x"], ["jpeg", "", "7"]]


def test_results_of_other_options_are_left_alone(tmp_path: Path) -> None:
    source, target = tmp_path / "a.mcap", tmp_path / "out"
    source.write_bytes(small_recording(1))
    convert_location(str(source), str(target), unconnected, Options(base64=True))

    assert convert_location(str(source), str(target), unconnected, Options(base64=True, workers=2)).was_there
    with pytest.raises(PermanentError, match=r"was made with other options \(\{'base64': True\}\)"):
        convert_location(str(source), str(target), unconnected)


def test_what_does_not_change_results_is_not_described() -> None:
    assert Options(workers=3).described() == {}
    assert json.dumps(Options(explode=("a.b",), images=False).described()) == '{"explode": ["a.b"], "images": false}'


CLOUD = (
    "uint32 height\nuint32 width\nPointField[] fields\nbool is_bigendian\nuint32 point_step\nuint32 row_step\n"
    "uint8[] data\nbool is_dense\n========\nMSG: sensor_msgs/PointField\n"
    "string name\nuint32 offset\nuint8 datatype\nuint32 count"
)
FIELDS = [
    {"name": "x", "offset": 0, "datatype": 7, "count": 1},
    {"name": "ring", "offset": 6, "datatype": 4, "count": 1},
    {"name": "n", "offset": 8, "datatype": 1, "count": 2},
]
POINTS = [(1.5, 7, -1, 2), (0.1, 65535, 3, 4), (float("nan"), 0, 5, 6), (2.0, 1, 7, 8)]


def cloud(*, big: bool = False, padding: int = 0, width: int = 4, **changes: object) -> dict[str, object]:
    """Four points of 12 bytes in rows."""
    points = [struct.pack(">fxxHbbxx" if big else "<fxxHbbxx", *point) for point in POINTS]
    rows = [b"".join(points[at : at + width]) + bytes(padding) for at in range(0, 4, width)]
    made = {"height": 4 // width, "width": width, "fields": FIELDS, "is_bigendian": big, "point_step": 12}
    return made | {"row_step": 12 * width + padding, "data": b"".join(rows), "is_dense": True} | changes


POINT_CLOUD = ros2("/scan", CLOUD, "sensor_msgs/msg/PointCloud2")


def test_clouds_are_files_and_the_table_is_their_index(convert: Convert) -> None:
    value = cloud()

    result = convert(mcap(sent(POINT_CLOUD, value)))

    (row,) = csv.DictReader(io.StringIO(result.files["scan.csv"].decode()))
    assert (row["file"], row["bytes"], row["width"]) == (f"scan/{START}_0.bin", "48", "4")
    assert result.files[row["file"]] == value["data"]
    assert result.manifest["outputs"][0]["kind"] == "clouds"


@pytest.mark.parametrize("changes", [{}, {"big": True}, {"width": 2, "padding": 5}, {"width": 1}])
def test_every_point_may_be_a_row(changes: dict[str, int], convert: Convert) -> None:
    result = convert(mcap(sent(POINT_CLOUD, cloud(**changes))), Options(points=True))  # type: ignore[arg-type]

    times = f"{START},{START - 1000},0"
    assert result.rows("scan.csv") == [
        "log_time,publish_time,sequence,x,ring,n[0],n[1]",
        f"{times},1.5,7,-1,2",
        f"{times},0.1,65535,3,4",
        f"{times},nan,0,5,6",
        f"{times},2.0,1,7,8",
    ]


def test_clouds_of_other_fields_than_the_first_are_kept_raw(convert: Convert) -> None:
    other = cloud(fields=FIELDS[:1])

    result = convert(mcap(sent(POINT_CLOUD, cloud(), other, cloud())), Options(points=True))

    assert len(result.rows("scan.csv")) == 1 + 8
    assert "other fields than those of the first cloud" in result.rows("scan.raw.csv")[1]
    assert "1 of 3 messages could not be decoded" in result.manifest["errors"][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"data": bytes(47)},
        {"point_step": 8},
        {"point_step": 0},
        {"width": 2**32 - 1},
        {"fields": []},
        {"fields": [{"name": "x", "offset": 0, "datatype": 9, "count": 1}]},
        {"fields": [{"name": "x", "offset": 0, "datatype": 7, "count": 2**32 - 1}]},
        {"fields": FIELDS * 4},
    ],
)
def test_what_is_no_cloud_is_kept_raw(changes: dict[str, object], convert: Convert) -> None:
    value = {**cloud(), **changes}

    result = convert(mcap(sent(POINT_CLOUD, value)), Options(points=True))

    assert result.rows("scan.csv") == ["log_time,publish_time,sequence"]
    assert len(result.rows("scan.raw.csv")) == 2


def test_a_cloud_topic_without_messages_is_a_header(convert: Convert) -> None:
    result = convert(mcap([], declared=[POINT_CLOUD]), Options(points=True))

    assert result.files == {"scan.csv": b"log_time,publish_time,sequence\n"}
