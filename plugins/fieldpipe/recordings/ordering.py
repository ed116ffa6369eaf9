"""Rows into the order of their log times, for tables in which the file's order goes backwards; memory stays bounded."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

RUN_BYTES = 16 * 1024 * 1024  # of rows that are sorted in memory at a time
MERGE_WIDTH = 64  # files that are open at a time


def sort_by_log_time(table: Path) -> None:
    """Sort the rows of a CSV file with a header by their first column, an integer; equal ones keep their order."""
    with table.open("rb") as file:
        rows = _rows(file)
        header = next(rows)
        runs = [_write(table, f"0-{number}", run) for number, run in enumerate(_sorted_runs(rows))]
    level = 0
    while len(runs) > MERGE_WIDTH:
        level += 1
        groups = [runs[at : at + MERGE_WIDTH] for at in range(0, len(runs), MERGE_WIDTH)]
        runs = [_merge(group, table.with_suffix(f".run{level}-{number}")) for number, group in enumerate(groups)]
    _merge(runs, table, header)


def _rows(file: Iterable[bytes]) -> Iterator[bytes]:
    """Records of a CSV file: a line goes on as long as a quote is open."""
    lines: list[bytes] = []
    is_open = False
    for line in file:
        lines.append(line)
        is_open ^= line.count(b'"') % 2 == 1
        if not is_open:
            yield b"".join(lines)
            lines.clear()


def _sorted_runs(rows: Iterator[bytes]) -> Iterator[list[bytes]]:
    run: list[bytes] = []
    size = 0
    for row in rows:
        run.append(row)
        size += len(row)
        if size >= RUN_BYTES:
            yield sorted(run, key=_log_time)
            run, size = [], 0
    if run:
        yield sorted(run, key=_log_time)


def _write(table: Path, name: str, rows: list[bytes]) -> Path:
    path = table.with_suffix(f".run{name}")
    path.write_bytes(b"".join(rows))
    return path


def _merge(runs: list[Path], target: Path, header: bytes = b"") -> Path:
    """Merge sorted files into one and remove them; of equal rows, those of the earlier file come first."""
    with ExitStack() as stack:
        sources = [_rows(stack.enter_context(run.open("rb"))) for run in runs]
        output = stack.enter_context(target.open("wb"))
        output.write(header)
        merged: Iterator[bytes] = heapq.merge(*sources, key=_log_time)
        output.writelines(merged)
    for run in runs:
        run.unlink()
    return target


def _log_time(row: bytes) -> int:
    return int(row.partition(b",")[0])
