"""Rows into the order of their log times, for tables in which the file's order goes backwards; memory stays bounded."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, islice, pairwise
from pathlib import Path

from fieldpipe.recordings import sums

RUN_BYTES = 16 * 1024 * 1024  # of rows that are sorted in memory at a time
MERGE_WIDTH = 64  # files that are open at a time
ROWS_AT_ONCE = 64  # that are written and hashed together


def is_in_order(table: Path) -> bool:
    """Whether the rows of a CSV file with a header ascend by their first column, an integer."""
    with table.open("rb") as file:
        times = map(_log_time, islice(_rows(file), 1, None))
        return all(before <= after for before, after in pairwise(times))


def sort_by_log_time(table: Path) -> str:
    """Sort such rows; equal ones keep their order. Returns the file's new SHA-256."""
    with table.open("rb") as file:
        rows = _rows(file)
        header = next(rows)
        runs = [_write(table, f"0-{number}", run) for number, run in enumerate(_sorted_runs(rows))]
    level = 0
    while len(runs) > MERGE_WIDTH:
        level += 1
        groups = [runs[at : at + MERGE_WIDTH] for at in range(0, len(runs), MERGE_WIDTH)]
        runs = [_merge(group, table.with_suffix(f".run{level}-{number}")) for number, group in enumerate(groups)]
    digest = sums.begin()
    _merge(runs, table, header, digest.update)
    return digest.hexdigest()


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


def _merge(
    runs: list[Path], target: Path, header: bytes = b"", written: Callable[[bytes], object] = lambda _: None
) -> Path:
    """Merge sorted files into one and remove them; of equal rows, those of the earlier file come first."""
    with ExitStack() as stack:
        sources = [_rows(stack.enter_context(run.open("rb"))) for run in runs]
        output = stack.enter_context(target.open("wb"))
        merged: Iterator[bytes] = chain((header,), heapq.merge(*sources, key=_log_time))
        while block := b"".join(islice(merged, ROWS_AT_ONCE)):
            output.write(block)
            written(block)
    for run in runs:
        run.unlink()
    return target


def _log_time(row: bytes) -> int:
    return int(row.partition(b",")[0])
