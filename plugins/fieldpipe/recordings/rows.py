"""The cells of a message -> its rows."""

from __future__ import annotations

from collections.abc import Sized
from typing import NamedTuple

from fieldpipe.recordings.executor import MAX_ROW, MAX_ROWS, DecodeError


class Exploded(NamedTuple):
    """The elements of a list that become rows of their own.

    Each is a list of cells, which belong behind the first `behind` cells of the message.
    """

    behind: int
    elements: list[list[str]]


def rows_of(cells: list[str], exploded: Exploded | None = None) -> list[list[str]]:
    """One row, or one for every element. Raises DecodeError for more than MAX_ROWS, or MAX_ROW bytes of text in all."""
    if exploded is None:
        _check(_size(cells))
        return [cells]
    check_count(exploded.elements)
    _check(len(exploded.elements) * _size(cells) + sum(map(_size, exploded.elements)))
    before, after = cells[: exploded.behind], cells[exploded.behind :]
    return [[*before, *element, *after] for element in exploded.elements]


def check_count(elements: Sized) -> None:
    """Raises DecodeError for more rows than a message may make."""
    if len(elements) > MAX_ROWS:
        raise DecodeError(f"the message makes more than {MAX_ROWS} rows")


def _check(size: int) -> None:
    if size > MAX_ROW:
        raise DecodeError(f"the message makes {size} bytes of text, more than the {MAX_ROW} that are accepted")


def _size(cells: list[str]) -> int:
    """Bytes in a file, the comma before each cell included."""
    text = ",".join(cells)
    return (len(text) if text.isascii() else len(text.encode())) + bool(cells)
