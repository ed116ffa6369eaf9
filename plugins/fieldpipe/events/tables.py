"""The ledger's answers as text for a terminal."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fieldpipe.events.queries import Backlog

_WIDTHS = {"key": 48, "reason": 40, "sha256": 12}
_HEADINGS = {"state_at": "since"}
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """The columns of the rows, aligned; times as ages, long texts cut in the middle."""
    cells = [[_cell(column, row.get(column)) for column in columns] for row in rows]
    lines = [[_HEADINGS.get(column, column.removesuffix("_at")) for column in columns], *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    padded = (zip(line, widths, strict=True) for line in lines)
    return "\n".join("  ".join(f"{text:<{width}}" for text, width in line).rstrip() for line in padded)


def record(row: Mapping[str, Any]) -> str:
    """One record, a line per field; lists of records below it."""
    plain = {name: value for name, value in row.items() if not isinstance(value, list)}
    width = max(len(name) for name in plain)
    parts = ["\n".join(f"{name:<{width}}  {_full(value)}" for name, value in plain.items() if value is not None)]
    for name, value in row.items():
        if isinstance(value, list) and value:
            columns = [column for column in value[0] if column not in ("id", "object_id")]
            parts.append(f"\n{name}:\n{table(value, columns)}")
    return "\n".join(parts)


def stats(backlog: Backlog, totals: Mapping[str, int]) -> str:
    """What there is, what waits, and why."""
    parts = ["objects: " + (", ".join(f"{n} {state}" for state, n in sorted(totals.items())) or "none")]
    for name, route in backlog.routes.items():
        waiting = sum(n for state, n in route.rows.items() if state != "dead")
        line = f"route {name}: {waiting} open, {route.runs} runs in flight, {route.rows.get('dead', 0)} dead"
        line += f", oldest open {age(route.oldest)}" if waiting else ""
        line += f"; HELD: {route.held}" if route.held else ""
        line += f"; waits for: {route.waits_for}" if route.waits_for and not route.held else ""
        parts.append(line)
    parts.append(f"rejected bodies (dead): {backlog.rejected}")
    parts.append(f"results missing from the bucket: {backlog.missing}")
    return "\n".join(parts)


def age(seconds: float) -> str:
    """Two leading units at most: 3d 4h, 12m 5s, 0s."""
    left = int(seconds)
    parts = []
    for unit, size in _UNITS:
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2]) or "0s"


def _cell(column: str, value: Any) -> str:
    if isinstance(value, datetime):
        return age((datetime.now(UTC) - value).total_seconds())
    text = "" if value is None else str(value).translate(_CONTROLS)
    limit = _WIDTHS.get(column, 60)
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[len(text) - limit + limit // 2 + 1 :]}"


def _full(value: Any) -> str:
    return str(value).translate(_CONTROLS)


# A key may hold line feeds and escape sequences; a terminal must not act on them.
_CONTROLS = {code: f"\\x{code:02x}" for code in [*range(32), *range(127, 160)]}
