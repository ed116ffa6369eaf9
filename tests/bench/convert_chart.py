"""CPU seconds as bars, an SVG of our own: for the page that people look at."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from tests.bench.convert_race import OURS

_WIDTH, _LABELS, _BARS = 860, 300, 440  # pixels: all, the names, the longest bar
_ROW, _BAR, _TOP = 26, 16, 34
_OURS, _THEIRS, _FLOOR = "#0b7a75", "#b8c4cc", "#e0a030"


class Bar(NamedTuple):
    """A program and its CPU seconds; `floor` is no program."""

    name: str
    seconds: float
    floor: bool = False


def chart(groups: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """A group of bars under its heading, each group on its own scale."""
    parts, y = [], 8
    for heading, bars in groups:
        parts.append(f'<text x="12" y="{y + 18}" font-weight="bold">{escape(heading)}</text>')
        y += _TOP
        most = max(bar.seconds for bar in bars)
        for bar in bars:
            parts += _drawn(bar, y, most)
            y += _ROW
        y += 10
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" font-family="sans-serif" font-size="13">\n'
        f"<title>CPU seconds of one conversion</title>\n"
        f'<rect width="{_WIDTH}" height="{y}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _drawn(bar: Bar, y: int, most: float) -> list[str]:
    width = max(_BARS * bar.seconds / most, 1)
    ours = bar.name == OURS
    color = _FLOOR if bar.floor else _OURS if ours else _THEIRS
    weight = ' font-weight="bold"' if ours else ""
    seconds = f"{bar.seconds:.1f} s" if bar.seconds >= 10 else f"{bar.seconds:.2f} s"
    return [
        f'<text x="{_LABELS - 8}" y="{y + 13}" text-anchor="end"{weight}>{escape(bar.name)}</text>',
        f'<rect x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{color}"/>',
        f'<text x="{_LABELS + width + 6:.1f}" y="{y + 13}"{weight}>{seconds}</text>',
    ]
