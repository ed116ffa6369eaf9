"""docs/performance.md: what people wrote stays, what was measured is written anew between two marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.convert_peers import PROJECT

PAGE = PROJECT / "docs" / "performance.md"
CHART = PROJECT / "docs" / "performance.svg"
_BEGIN = "<!-- measured: written by make bench-convert -->"
_END = "<!-- end of what was measured -->"


def write(text: str, chart: str, page: Path = PAGE, picture: Path = CHART) -> None:
    """Replace what was measured before."""
    before, _, rest = page.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}")
    picture.write_text(chart)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as Markdown, the first one as heading."""
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
