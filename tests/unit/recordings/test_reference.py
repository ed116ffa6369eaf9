"""The reference executor: what a block holds, and which messages become rows."""

import struct
from collections import Counter
from dataclasses import dataclass, field

import pytest

from fieldpipe.recordings import compiled, reference
from fieldpipe.recordings.executor import (
    Converted,
    DecodeError,
    Defined,
    Executor,
    Left,
    Rows,
    Selection,
    Why,
    bucket,
)
from fieldpipe.recordings.plan import Plan
from fieldpipe.recordings.reference import ReferenceExecutor


@dataclass(eq=False)
class Words:
    """A decoder that stands for all: a row per word; `?` does not decode, `+` has more, `\\` is escaped."""

    plan: Plan = field(default_factory=lambda: Plan(("word",), ()))
    formula_safe: bool = False
    escaped: int = 0
    has_more: bool = False
    binary: bytes = b""

    def rows(self, payload: bytes) -> list[list[str]]:
        if payload == b"?":
            self.escaped += 1
            raise DecodeError("a question")
        self.has_more = b"+" in payload
        self.escaped += payload.count(b"\\")
        return [[word.decode()] for word in payload.split()]


def record(opcode: int, body: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(body)) + body


def message(channel: int, log_time: int, payload: bytes = b"") -> bytes:
    return record(5, struct.pack("<HIQQ", channel, 7, log_time, log_time + 1) + payload)


def convert(content: bytes, **chosen: int) -> Converted:
    selection = Selection({1: Words(), 2: None}, **chosen)
    return ReferenceExecutor().convert(content, 0, len(content), selection)


def test_rows_come_by_channel_in_the_order_of_the_block() -> None:
    content = message(1, 5, b"a b") + message(3, 6, b"skipped") + message(1, 4, b"c") + message(1, 4)

    found = convert(content)

    assert found.stop == len(content)
    assert found.rows == [Rows(1, 3, 0, b"5,6,7,a\n5,6,7,b\n4,5,7,c\n")]
    assert found.left == []


def test_channels_with_the_same_decoder_share_their_rows() -> None:
    decoder = Words()
    content = message(4, 1, b"a") + message(1, 2, b"b") + message(4, 3, b"c")

    found = ReferenceExecutor().convert(content, 0, len(content), Selection({1: decoder, 4: decoder}))

    assert found.rows == [Rows(4, 3, 0, b"1,2,7,a\n2,3,7,b\n3,4,7,c\n")]


def test_what_the_caller_must_look_at_is_left_with_the_place_of_its_record() -> None:
    parts = [message(2, 1, b"asked"), message(1, 2, b"?"), message(1, 3, b"x+\\")]

    found = convert(b"".join(parts))

    ends = [len(b"".join(parts[: number + 1])) for number in range(3)]
    assert found.left == [
        Left(Why.ASKED, 2, 9, ends[0]),
        Left(Why.UNDECODABLE, 1, ends[0] + 9, ends[1]),
        Left(Why.MORE, 1, ends[1] + 9, ends[2]),
    ]
    assert found.rows == [Rows(1, 1, 1, b"3,4,7,x+\\\n")]


def test_messages_outside_of_the_window_are_skipped() -> None:
    content = b"".join(message(channel, time, b"x") for time in (9, 10, 19, 20) for channel in (1, 2))

    found = convert(content, start=10, end=20)

    assert found.rows == [Rows(1, 2, 0, b"10,11,7,x\n19,20,7,x\n")]
    assert len(found.left) == 2


def test_a_row_that_nobody_can_use_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MAX_ROW", 6)

    found = convert(message(1, 1, b"ab cd") + message(1, 2, b"ab cde"))

    assert found.rows == [Rows(1, 2, 0, b"1,2,7,ab\n1,2,7,cd\n")]
    assert [left.why for left in found.left] == [Why.UNDECODABLE]


def test_a_call_stops_when_it_has_made_enough_text_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "TEXT_LIMIT", 15)
    content = b"".join(message(1, time, b"x") for time in range(5))
    selection = Selection({1: Words()})
    texts, stop = [], 0

    while stop < len(content):
        found = ReferenceExecutor().convert(content, stop, len(content), selection)
        stop = found.stop
        texts += [bytes(rows.text) for rows in found.rows]

    assert texts == [b"0,1,7,x\n1,2,7,x\n", b"2,3,7,x\n3,4,7,x\n", b"4,5,7,x\n"]


def executors() -> list[Executor]:
    try:
        return [ReferenceExecutor(), compiled.load()]
    except compiled.Unavailable:
        return [ReferenceExecutor()]


@pytest.mark.parametrize("executor", executors(), ids=lambda executor: type(executor).__name__)
def test_a_scan_tells_what_a_block_holds(executor: Executor) -> None:
    parts = [
        record(3, b"schema"),
        message(1, 100, b"abc"),
        record(5, b"short"),
        record(7, b""),
        message(1, 90),
        message(1, 95),
        message(1, 95),
    ]
    content = b"".join(parts) + struct.pack("<BQ", 5, 1000) + b"cut off"
    steps = Counter([bucket(5), bucket(0)])

    found = executor.scan(content, 0, len(content))

    assert found.end == len(b"".join(parts))
    assert found.definitions == [Defined(3, 9, 15)]
    assert {channel: vars(tally) for channel, tally in found.tallies.items()} == {
        1: {
            "messages": 4,
            "size": 3,
            "first": 100,
            "last": 95,
            "least": 90,
            "most": 100,
            "backwards": 1,
            "intervals": steps,
        }
    }
    at = len(b"".join(parts[:2])) + 9
    assert found.refused == [(at, at + 5)]
