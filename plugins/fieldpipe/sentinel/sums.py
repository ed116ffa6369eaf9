"""Whether etcd and the table have the same entries, without bringing both together: by sums of either."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

from fieldpipe.sentinel.keys import BadEntry, Entry, parse_key


class Sums(NamedTuple):
    """Of entries whose keys are well-formed; the others have no place in the table of entries."""

    keys: int = 0
    revisions: int = 0  # by which they were written
    contents: int = 0  # CRC-32 of keys and values


def add(sums: Sums, listed: Iterable[Entry]) -> Sums:
    """The sums of these too."""
    keys, revisions, contents = sums
    for key, value, revision in listed:
        try:
            parse_key(key)
        except BadEntry:
            continue
        keys, revisions, contents = keys + 1, revisions + revision, contents + crc32(key) + crc32(value)
    return Sums(keys, revisions, contents)
