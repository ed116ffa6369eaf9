"""A log gives its lines with their times, from where one wants, while it grows."""

import asyncio
import re
from pathlib import Path

import pytest

from fieldpipe.local.pods import logfile
from fieldpipe.local.pods.logfile import LogFile, LogOptions, log_time


def written(folder: Path, *pieces: bytes) -> LogFile:
    log = LogFile(folder / "log")
    for piece in pieces:
        log.write(piece)
    log.end_line()
    log.close()
    return log


def text(log: LogFile, **options: object) -> bytes:
    async def collect() -> bytes:
        return b"".join([batch async for batch in log.read(LogOptions(**options))])

    return asyncio.run(collect())


def test_lines_that_come_in_pieces_are_put_together(tmp_path: Path) -> None:
    assert text(written(tmp_path, b"on", b"e\ntwo\n\nthr", b"ee")) == b"one\ntwo\n\nthree\n"


def test_every_line_has_the_time_at_which_it_came(tmp_path: Path) -> None:
    lines = text(written(tmp_path, b"one\ntwo\n"), timestamps=True).decode().splitlines()

    assert [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ", "", line) for line in lines] == ["one", "two"]


@pytest.mark.parametrize(
    ("count", "expected"), [(0, b""), (1, b"c\n"), (2, b"b\nc\n"), (3, b"a\nb\nc\n"), (9, b"a\nb\nc\n")]
)
def test_the_last_lines_are_found(tmp_path: Path, count: int, expected: bytes) -> None:
    assert text(written(tmp_path, b"a\nb\nc\n"), tail_lines=count) == expected


def test_the_last_lines_are_found_in_a_long_log(tmp_path: Path) -> None:
    log = written(tmp_path, *(b"%06d %s\n" % (number, b"x" * 90) for number in range(5000)))

    assert [line[:6] for line in text(log, tail_lines=1500).splitlines()] == [b"%06d" % n for n in range(3500, 5000)]


def test_a_log_without_lines_has_no_last_lines(tmp_path: Path) -> None:
    assert text(written(tmp_path), tail_lines=5) == b""


def test_lines_before_a_time_are_left_out(tmp_path: Path) -> None:
    log = written(tmp_path, b"early\n", b"late\n")
    late = text(log, timestamps=True).splitlines()[1][: logfile.STAMP_LENGTH].decode()

    assert text(log, since=late) == b"late\n"
    assert text(log, since="9999") == b""


def test_times_in_a_log_are_ordered_as_text() -> None:
    moments = [0, 1, 999_999_999, 1_000_000_000, 1_700_000_000_123_456_789]

    assert sorted(map(log_time, moments)) == [log_time(moment) for moment in moments]
    assert log_time(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456789Z"


def test_no_more_bytes_are_given_than_asked_for(tmp_path: Path) -> None:
    assert text(written(tmp_path, b"one\ntwo\n"), limit_bytes=5) == b"one\nt"


def test_a_very_long_line_is_cut(tmp_path: Path) -> None:
    log = written(tmp_path, b"x" * (logfile.LONGEST_LINE + 10), b"\nend\n")

    assert [len(line) for line in text(log).splitlines()] == [logfile.LONGEST_LINE, 10, 3]


def test_the_last_words_are_the_end_of_the_log_without_times(tmp_path: Path) -> None:
    assert written(tmp_path, b"one\ntwo\nthree\n").last_words(lines=2) == "two\nthree\n"


def test_a_log_that_would_fill_the_disk_ends_with_a_notice(tmp_path: Path) -> None:
    megabyte = b"\n".join([b"x" * 1023] * 1024) + b"\n"

    log = written(tmp_path, *([megabyte] * 70))

    assert log.path.stat().st_size < logfile.LARGEST_FILE + 2 * len(megabyte)
    assert text(log, tail_lines=1) == b"(the log is full: the rest is dropped)\n"


def test_a_follower_gets_lines_as_they_come_and_stops_at_the_end(tmp_path: Path) -> None:
    async def follow() -> list[bytes]:
        log = LogFile(tmp_path / "log")
        batches = log.read(LogOptions(follow=True))
        got = []
        for word in (b"one\n", b"two\n"):
            log.write(word)
            got.append(await anext(batches))
        log.close()
        return [*got, *[batch async for batch in batches]]

    assert asyncio.run(asyncio.wait_for(follow(), 5)) == [b"one\n", b"two\n"]
