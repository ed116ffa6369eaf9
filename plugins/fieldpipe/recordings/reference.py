"""The reference executor: blocks of records -> text of CSV, in plain Python by the readable decoders.

It is what the compiled executor is held against, byte for byte, and what works where that one was not built.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from threading import Lock
from typing import NamedTuple

from mcap.opcode import Opcode

from fieldpipe.recordings.executor import (
    MAX_ROW,
    TEXT_LIMIT,
    Content,
    Converted,
    DecodeError,
    Decoder,
    Defined,
    Left,
    Rows,
    Scanned,
    Selection,
    Tally,
    Totals,
    Whole,
    Why,
    bucket,
)
from fieldpipe.recordings.records import HEADER, MAX_MESSAGE, MESSAGE

_LOG_TIME = struct.Struct("<H4xQ")  # of a message: channel, (sequence,) log time


class ReferenceExecutor:
    """See executor.Executor."""

    def __init__(self) -> None:
        self._one_at_a_time = Lock()  # decoders remember what they found in the last payload

    def scan(self, content: Content, start: int, end: int) -> Scanned:
        """See Executor.scan."""
        definitions: list[Defined] = []
        tallies: dict[int, Tally] = {}
        refused: list[tuple[int, int]] = []
        stop = start
        for opcode, body, stop in _records(content, start, end):
            if opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                definitions.append(Defined(opcode, body, stop))
            elif opcode != Opcode.MESSAGE:
                continue
            elif not MESSAGE.size <= stop - body <= MAX_MESSAGE:
                refused.append((body, stop))
            else:
                channel, log_time = _LOG_TIME.unpack_from(content, body)
                _count(tallies.setdefault(channel, Tally()), log_time, stop - body - MESSAGE.size)
        return Scanned(stop, definitions, tallies, refused)

    def convert(self, content: Content, start: int, end: int, selection: Selection) -> Converted:
        """See Executor.convert."""
        with self._one_at_a_time:
            return _convert(content, start, end, selection)

    def whole(self, content: Content, selection: Selection) -> Whole:
        """See Executor.whole."""
        scanned = self.scan(content, 0, len(content))
        converted = self.convert(content, 0, scanned.end, selection)
        is_read = scanned.end == len(content) and not scanned.refused
        is_made = converted.stop == scanned.end and not converted.left
        is_known = all(selection.decoders.get(channel) for channel in scanned.tallies)
        return _Whole(is_read and is_made and is_known and selection.start < selection.end, scanned, converted)

    def totals(self) -> Totals:
        """See Executor.totals."""
        return _Totals()


class _Whole(NamedTuple):
    is_plain: bool
    scanned: Scanned
    converted: Converted

    @property
    def definitions(self) -> list[Defined]:
        return self.scanned.definitions


class _Totals:
    """See executor.Totals."""

    def __init__(self) -> None:
        self._tallies: dict[int, Tally] = {}

    def add(self, whole: Whole) -> None:
        """See Totals."""
        for channel, later in whole.scanned.tallies.items():
            total = self._tallies.setdefault(channel, later)
            if total is not later:
                _join(total, later)

    def take(self) -> dict[int, Tally]:
        """See Totals."""
        taken, self._tallies = self._tallies, {}
        return taken


class _Lines:
    """Rows so far; `channel` is the one of the first."""

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self.count = self.escaped = 0
        self.texts: list[bytes] = []


def _convert(content: Content, start: int, end: int, selection: Selection) -> Converted:
    lines: dict[Decoder, _Lines] = {}  # channels with the same decoder share them
    left: list[Left] = []
    stop, size = start, 0
    for opcode, body, stop in _records(content, start, end):
        if opcode != Opcode.MESSAGE or not MESSAGE.size <= stop - body <= MAX_MESSAGE:
            continue
        channel, sequence, log_time, publish_time = MESSAGE.unpack_from(content, body)
        if channel not in selection.decoders or not selection.start <= log_time < selection.end:
            continue
        decoder = selection.decoders[channel]
        if decoder is None:
            left.append(Left(Why.ASKED, channel, body, stop))
            continue
        made = lines.setdefault(decoder, _Lines(channel))
        times = f"{log_time},{publish_time},{sequence}"
        before = decoder.escaped
        text = _text(decoder, times, content[body + MESSAGE.size : stop])
        if text is None:
            left.append(Left(Why.UNDECODABLE, channel, body, stop))
            continue
        if decoder.has_more:
            left.append(Left(Why.MORE, channel, body, stop))
        made.escaped += decoder.escaped - before
        made.count += len(text)
        made.texts += text
        size += sum(map(len, text))
        if size >= TEXT_LIMIT:
            break
    rows = [Rows(made.channel, made.count, made.escaped, b"".join(made.texts)) for made in lines.values()]
    return Converted(stop, rows, left)


def _text(decoder: Decoder, times: str, payload: bytes) -> list[bytes] | None:
    """The lines of a payload; None if it makes none, or more than anybody can use."""
    try:
        rows = decoder.rows(payload)
    except DecodeError:
        return None
    lines = [(",".join([times, *cells]) + "\n").encode(errors="backslashreplace") for cells in rows]
    if sum(map(len, lines)) - len(lines) * (len(times) + 1) > MAX_ROW:
        return None
    return lines


def _records(content: Content, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Opcode, start and end of the body of every whole record."""
    while start + HEADER.size <= end:
        opcode, length = HEADER.unpack_from(content, start)
        body = start + HEADER.size
        if length > end - body:
            return
        start = body + length
        yield opcode, body, start


def _count(tally: Tally, log_time: int, size: int) -> None:
    if tally.messages:
        _step(tally, log_time)
    else:
        tally.first = log_time
    tally.messages += 1
    tally.size += size
    tally.last = log_time
    tally.least = min(tally.least, log_time)
    tally.most = max(tally.most, log_time)


def _join(total: Tally, later: Tally) -> None:
    _step(total, later.first)
    total.messages += later.messages
    total.size += later.size
    total.last = later.last
    total.least = min(total.least, later.least)
    total.most = max(total.most, later.most)
    total.backwards += later.backwards
    for index, count in later.intervals.items():
        total.intervals[index] += count


def _step(tally: Tally, log_time: int) -> None:
    if log_time < tally.last:
        tally.backwards += 1
    else:
        tally.intervals[bucket(log_time - tally.last)] += 1
