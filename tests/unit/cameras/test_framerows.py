"""Parts of a table, and the table that they make together, however the frames were cut into them."""

from io import BytesIO
from itertools import pairwise
from typing import NamedTuple

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldpipe.cameras.framerows import INDEX_COLUMNS, Row, part_csv, read_part, spread, united, write_index
from fieldpipe.errors import PermanentError

START = 1_700_000_000_123_456_789  # nanoseconds: more digits than a float has


def frame(offset: int, capture_ns: int = START, **more: object) -> Row:
    values = {"time_source": "camera", "sha256": f"{offset:064x}", "width": 64, "height": 48, "brightness": 12.5}
    return Row("frame", **{"epoch": 1, "partition": 0, "capture_ns": capture_ns, **values, **more}, offset=offset)


def index(*parts: list[Row]) -> bytes:
    file = BytesIO()
    write_index(united([read_part(part_csv(part)) for part in parts]).frames, file)
    return file.getvalue()


def rows(*parts: list[Row]) -> pd.DataFrame:
    return pd.read_csv(BytesIO(index(*parts)), dtype=str, keep_default_na=False)


def test_a_part_keeps_every_digit() -> None:
    written = [frame(0, START), Row("hole", 1, 0, 1, 3), frame(4, START + 1)]

    read = read_part(part_csv(written))

    assert read["capture_ns"].tolist() == [START, pd.NA, START + 1]
    assert part_csv(Row(*(None if pd.isna(v) else v for v in row)) for row in read.itertuples(index=False)) == part_csv(
        written
    )


def test_gaps_are_those_of_each_partition() -> None:
    part = [frame(0), frame(5, START + 7), frame(9, START + 1, partition=1), frame(0, START + 2, epoch=2)]

    table = rows(part)

    assert table[["epoch", "partition", "offset", "gap_ns", "missing"]].to_numpy().tolist() == [
        ["1", "0", "0", "", ""],
        ["1", "1", "9", "", ""],
        ["2", "0", "0", "", ""],
        ["1", "0", "5", "7", "4"],
    ]


@pytest.mark.parametrize(
    ("between", "missing"),
    [
        ([], "4"),
        ([Row("hole", 1, 0, 1, 2), Row("hole", 1, 0, 4)], "1"),
        ([Row("dead", 1, 0, 1)], "3"),
        ([Row("gap", 1, 0, 1, 4)], "4"),
    ],
)
def test_what_is_accounted_for_is_not_missing(between: list[Row], missing: str) -> None:
    assert rows([frame(0), *between, frame(5)])["missing"].tolist() == ["", missing]


def test_a_frame_that_was_sent_again_is_marked() -> None:
    again = frame(1)._replace(sha256=frame(0).sha256)
    at_another_time = again._replace(offset=2, capture_ns=START + 1)
    of_no_camera = again._replace(offset=3, time_source="record")

    assert rows([frame(0), again, at_another_time, of_no_camera])["repeat"].tolist() == [
        *("False", "True", "False", "False")  # in order of time and offset: 0, 1, 3, 2
    ]


def test_times_are_readable_and_beyond_the_calendar_too() -> None:
    last = 2**63 - 1

    assert rows([frame(0), frame(1, last)])["capture_time"].tolist() == [
        "2023-11-14T22:13:20.123456Z",
        "2262-04-11T23:47:16.854775Z",
    ]


@pytest.mark.parametrize("content", [b"", b"x", b"\xff\x00", b"kind,epoch\nframe,x\n"])
def test_what_is_no_part_is_refused(content: bytes) -> None:
    with pytest.raises(PermanentError, match="no part"):
        read_part(content)


@pytest.mark.parametrize(("pictures", "limit"), [(1000, 10), (11, 10), (10, 10), (7, 10), (0, 10)])
def test_pictures_are_spread_evenly_over_all_that_there_are(pictures: int, limit: int) -> None:
    none = frame(5000, START + 99_000)._replace(width=None, reason="no picture")
    table = united([read_part(part_csv([*(frame(n, START + n) for n in range(pictures)), none]))]).frames

    chosen = spread(table, limit)["offset"].tolist()

    steps = [later - earlier for earlier, later in pairwise(chosen)]
    assert len(chosen) == min(pictures, limit)
    assert 5000 not in chosen
    assert max(steps, default=0) - min(steps, default=0) <= 1


class Cut(NamedTuple):
    rows: list[Row]
    parts: list[list[Row]]


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    """An hour's rows, cut into batches in any way, coming in any order."""
    every: list[Row] = []
    parts: list[list[Row]] = []
    for partition in range(draw(st.integers(1, 2))):
        offset, stream = draw(st.integers(0, 100)), []
        for kind in draw(st.lists(st.sampled_from(["frame"] * 6 + ["dead", "hole", "gap", "skip"]), max_size=12)):
            width = 1 if kind in ("frame", "dead") else draw(st.integers(1, 4))
            if kind == "frame":
                same = draw(st.booleans())
                capture = START + draw(st.integers(-3, 3))
                stream.append(frame(offset, capture, partition=partition, **({"sha256": "same"} if same else {})))
            elif kind != "skip":
                stream.append(Row(kind, 1, partition, offset, width))
            offset += width
        edges = sorted(draw(st.sets(st.integers(1, max(1, len(stream) - 1)), max_size=3)))
        parts += [stream[a:b] for a, b in pairwise([0, *edges, len(stream)])]
        every += stream
    return Cut(every, draw(st.permutations([part for part in parts if part])))


@settings(max_examples=20)
@given(cuts())
def test_the_table_is_the_same_however_the_hour_was_cut_and_in_whatever_order_parts_came(cut: Cut) -> None:
    if cut.rows:
        assert index(*cut.parts) == index(cut.rows)
        assert index(*cut.parts, *cut.parts) == index(cut.rows)


def test_a_table_without_frames_has_its_columns() -> None:
    assert index([Row("gap", 1, 0, 5, 5)]).decode() == ",".join(INDEX_COLUMNS) + "\n"
