"""The health of a recording, found out without converting it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from fieldpipe.recordings.container import Block, Container, Remark
from fieldpipe.recordings.crew import available
from fieldpipe.recordings.decoders import decoder_for
from fieldpipe.recordings.executor import Content
from fieldpipe.recordings.executors import executor
from fieldpipe.recordings.health import SECOND, Health
from fieldpipe.recordings.names import printable
from fieldpipe.recordings.notes import Notes
from fieldpipe.recordings.pipeline import Piece, Pipeline, Segment
from fieldpipe.recordings.reader import Reader
from fieldpipe.recordings.survey import Survey
from fieldpipe.recordings.typetree import SchemaError

_COLUMNS = ("topic", "messages", "Hz", "gaps", "unordered", "first", "last", "encoding", "schema")
_NUMBERS = ("messages", "Hz", "gaps", "unordered")


class Checkup(NamedTuple):
    """What is known about a recording; `notes` are about what is unusual (warnings) and what is lost (errors)."""

    health: Health
    warnings: list[str]
    errors: list[str]

    @property
    def is_healthy(self) -> bool:
        """Whether everything that was recorded is there and can be read."""
        return self.health.is_finished and not self.errors

    def described(self) -> dict[str, Any]:
        """For JSON; `health` and `topics` as in manifests."""
        return {
            "healthy": self.is_healthy,
            "health": self.health.described(),
            "topics": self.health.described_topics(),
            "warnings": self.warnings,
            "errors": self.errors,
        }

    def table(self) -> str:
        """For people."""
        topics = self.health.described_topics()
        rows = [dict(zip(_COLUMNS, _COLUMNS, strict=True)), *map(_row, topics)]
        widths = {name: max(len(row[name]) for row in rows) for name in _COLUMNS}
        return "\n".join("  ".join(_padded(row, name, widths[name]) for name in _COLUMNS).rstrip() for row in rows)

    def summary(self) -> str:
        """One line for people."""
        health = self.health
        state = "healthy" if self.is_healthy else "damaged" if health.is_finished else "not finished"
        chunks = f"{health.chunks} chunks ({health.damaged} damaged, {health.unchecked} without a CRC)"
        return f"{state}: {len(health.topics)} topics, {health.messages:,} messages, {chunks}"


def check(reader: Reader, workers: int | None = None) -> Checkup:
    """Look at a recording. Raises NotMcap."""
    notes = Notes()
    with tempfile.TemporaryDirectory() as folder:
        container = Container(reader, Path(folder), notes)
        survey = Survey(container, executor(), notes)
        Pipeline(executor(), workers or available(), _Looker(survey, notes)).run(container.blocks())
    for topic in survey.topics():
        survey.health.topic(topic)
    for topic in survey.health.topics:
        try:
            decoder_for(topic)
        except SchemaError as error:
            notes.error(f"topic {topic.name}: no table: {error}")
    return Checkup(survey.health, notes.warnings, notes.errors)


class _Looker:
    """See pipeline.Consumer: nothing is converted."""

    selection = None

    def __init__(self, survey: Survey, notes: Notes) -> None:
        self._survey = survey
        self._notes = notes

    def remark(self, remark: Remark) -> None:
        self._notes.remark(remark.text, is_error=remark.is_error)

    def damaged(self, block: Block, reason: str) -> None:
        self._survey.damaged(block, reason)

    def scanned(self, block: Block, content: Content, pieces: Sequence[Piece]) -> Sequence[Segment]:
        for _ in self._survey.parts(block, content, pieces):
            pass
        return []

    def plain(self, *_: object) -> bool:
        raise AssertionError("nothing was asked for")

    def prepare(self, *_: object) -> None:
        raise AssertionError("nothing was asked for")

    def converted(self, *_: object) -> None:
        raise AssertionError("nothing was asked for")

    def catch_up(self, **_: object) -> bool:
        return False


def _row(topic: dict[str, Any]) -> dict[str, str]:
    return {
        "topic": printable(topic["topic"]),
        "messages": f"{topic['messages']:,}",
        "Hz": "" if topic["rate_hz"] is None else f"{topic['rate_hz']:.1f}",
        "gaps": f"{topic['gaps']}",
        "unordered": f"{topic['out_of_order']}",
        "first": _time(topic["first_log_time"]),
        "last": _time(topic["last_log_time"]),
        "encoding": printable(topic["encoding"]),
        "schema": printable(topic["schema"]),
    }


def _padded(row: dict[str, str], name: str, width: int) -> str:
    return row[name].rjust(width) if name in _NUMBERS else row[name].ljust(width)


def _time(nanoseconds: int | None) -> str:
    if nanoseconds is None:
        return ""
    seconds, rest = divmod(nanoseconds, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03}"
