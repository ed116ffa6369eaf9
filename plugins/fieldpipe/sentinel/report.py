"""The audit's report: a table for people, and the same as JSON for programs."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from fieldpipe.handover import canonical_json, utc_text
from fieldpipe.sentinel.audit import Audit, Drift
from fieldpipe.sentinel.checks import Oddity

FOLDER = "sentinel"
COLUMNS = ("found", "kind", "name", "what")


def report_key(audit: Audit, moment: datetime) -> str:
    """Where the report lies, without its suffix: sentinel/2026-01-02/030405-r1234."""
    return f"{FOLDER}/{moment:%Y-%m-%d}/{moment:%H%M%S}-r{audit.at.revision}"


def counts(audit: Audit, odd: Sequence[Oddity]) -> dict[str, int]:
    """How much was found, by what it is."""
    return dict(Counter(each.found for each in _findings(audit, odd)))


def to_json(audit: Audit, odd: Sequence[Oddity], moment: datetime) -> bytes:
    """Everything, with the revision that it was found at."""
    return canonical_json(
        {
            "at": utc_text(moment),
            **audit.at._asdict(),
            "rows": len(audit.expected.rows),
            "counts": counts(audit, odd),
            "findings": [dict(zip(COLUMNS, line, strict=True)) for line in _lines(audit, odd)],
        }
    )


def to_csv(audit: Audit, odd: Sequence[Oddity]) -> bytes:
    """A line for each finding; none: only the header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_lines(audit, odd))
    return text.getvalue().encode(errors="backslashreplace")


def _lines(audit: Audit, odd: Sequence[Oddity]) -> list[tuple[str, str, str, str]]:
    return sorted((each.found, each.name.kind, each.name.name, each.what) for each in _findings(audit, odd))


def _findings(audit: Audit, odd: Sequence[Oddity]) -> list[Drift | Oddity]:
    return [*audit.drift, *odd]
