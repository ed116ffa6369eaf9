"""Recordings that are CSV text in spite of their name: the first generator of this project wrote such `.mcap` files.

They become one table, `table.csv`: the same rows and two more columns, `processed_flag` (True) and `processed_at`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from fieldpipe.errors import PermanentError
from fieldpipe.recordings.outputs import Output
from fieldpipe.recordings.reader import Reader, Stream
from fieldpipe.recordings.spool import Spool

NAME = "table.csv"
BLOCK = 1024 * 1024  # bytes that are read at a time
ADDED = ("processed_flag", "processed_at")


def convert_csv(source: Reader, spool: Spool, *, processed_at: str) -> Output:
    """The table of a CSV file. Raises PermanentError with the reason `not_mcap` for everything else."""
    part = spool.part(NAME)
    count = 0
    for index, row in enumerate(_rows(source)):
        part.write(_line([*row, *(ADDED if index == 0 else ("True", processed_at))]))
        count = index
    return Output.of(part, NAME, "table", rows=count)


def _rows(source: Reader) -> Iterator[list[str]]:
    """The header and the rows, all of the same width."""
    width = 0
    try:
        content = io.BufferedReader(Stream(source, 0, source.size), BLOCK)
        with io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as file:
            for row in csv.reader(file, strict=True):
                if not row:
                    continue
                width = width or _width(row)
                if len(row) != width:
                    raise _not_mcap(f"as CSV text, a row has {len(row)} cells and the header {width}")
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise _not_mcap("nor is it CSV text") from error
    if not width:
        raise _not_mcap("it is empty")


def _width(header: list[str]) -> int:
    if len(header) < 2 or not all(name.strip().isprintable() and name.strip() for name in header):
        raise _not_mcap("nor is it CSV text with a header")
    return len(header)


def _not_mcap(detail: str) -> PermanentError:
    return PermanentError(f"not_mcap: the file does not begin with the magic of MCAP; {detail}. Record it again")


def _line(cells: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
