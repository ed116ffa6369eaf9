"""Both executors held against each other: what one makes of a payload, the other must make too, byte for byte."""

from __future__ import annotations

import csv
import io
import shutil
import struct
from collections.abc import Iterable

import pytest

from fieldpipe.recordings.compiled import load
from fieldpipe.recordings.executor import DecodeError, Decoder, Executor, Left, Selection, Why
from fieldpipe.recordings.reference import ReferenceExecutor

_RECORD = struct.Struct("<BQHIQQ")  # opcode, length; channel, sequence, log time, publish time
_CHANNEL, _TIMES = 1, "0,0,0"
_FIXED = _RECORD.size - 9  # bytes of a message before its payload


def executors() -> list[Executor]:
    """The reference, and the compiled one where it can be (test_compiled.py says loudly where it cannot)."""
    return [ReferenceExecutor(), load()] if shutil.which("g++") else [ReferenceExecutor()]


def block(payloads: Iterable[bytes]) -> bytes:
    """Messages of one channel, all with times and sequences of 0."""
    return b"".join(_RECORD.pack(5, _FIXED + len(payload), _CHANNEL, 0, 0, 0) + payload for payload in payloads)


def converted(decoder: Decoder, payloads: Iterable[bytes]) -> tuple[bytes, int, list[Left]]:
    """Lines, texts with bytes that were not valid, and what was left, as all executors agree on it."""
    content = block(payloads)
    made = [_converted(executor, content, Selection({_CHANNEL: decoder})) for executor in executors()]
    assert made[1:] == made[:-1]
    return made[0]


def rows(decoder: Decoder, *payloads: bytes) -> list[list[str]]:
    """The cells of all rows as a reader of CSV finds them, without the times. A payload that is refused has none."""
    text, _, left = converted(decoder, payloads)
    assert {each.why for each in left} <= {Why.UNDECODABLE}
    found = list(csv.reader(io.StringIO(text.decode(), newline=""), strict=True))
    assert all(",".join(row[:3]) == _TIMES for row in found)
    assert {len(row) for row in found} <= {3 + len(decoder.plan.columns)}
    return [row[3:] for row in found]


def line(decoder: Decoder, payload: bytes) -> str:
    """The one row of a payload as it is written, without the times."""
    text, _, left = converted(decoder, [payload])
    assert not left
    return text.decode().removeprefix(_TIMES).removeprefix(",").removesuffix("\n")


def refusal(decoder: Decoder, payload: bytes) -> str:
    """Why a payload makes no row: the words of the readable decoder, on which the others agree."""
    assert converted(decoder, [payload]) == (b"", 0, [Left(Why.UNDECODABLE, _CHANNEL, 9, len(block([payload])))])
    with pytest.raises(DecodeError) as refused:
        decoder.rows(payload)
    return str(refused.value)


def _converted(executor: Executor, content: bytes, selection: Selection) -> tuple[bytes, int, list[Left]]:
    text, escaped, left = b"", 0, []
    at = 0
    while at < len(content):
        made = executor.convert(content, at, len(content), selection)
        text += b"".join(bytes(part.text) for part in made.rows)
        escaped += sum(part.escaped for part in made.rows)
        left += made.left
        at = made.stop
        made.release()
    return text, escaped, left
