"""How a recording is: rates, gaps, order, damage, as people and machines read it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fieldpipe.recordings.check import check
from fieldpipe.recordings.container import NotMcap
from tests.builders import START, Channel, MemoryReader, json_topic, mcap, robot_recording
from tests.unit.recordings.conftest import Convert

TICK = json_topic("/tick")
HZ_100 = 10_000_000  # nanoseconds


@dataclass(frozen=True)
class OtherPublisher(Channel):
    """Of the same topic and schema, with a number of its own."""


def ticks(*steps: int) -> bytes:
    """Messages of one topic, so far apart."""
    times = [START + sum(steps[:count]) for count in range(len(steps) + 1)]
    return mcap([(TICK, time, b"{}") for time in times])


def health_of(content: bytes) -> dict[str, object]:
    """Of the only topic."""
    (topic,) = check(MemoryReader(content)).described()["topics"]
    assert isinstance(topic, dict)
    return topic


def test_a_topic_has_a_rate_and_times() -> None:
    assert health_of(ticks(*[HZ_100] * 100)) == {
        "topic": "/tick",
        "encoding": "json",
        "schema": "",
        "schema_encoding": "",
        "messages": 101,
        "bytes": 202,
        "first_log_time": START,
        "last_log_time": START + 100 * HZ_100,
        "rate_hz": 100.0,
        "out_of_order": 0,
        "gaps": 0,
        "longest_gap_seconds": 0.0,
    }


def test_a_gap_is_a_step_much_longer_than_usual() -> None:
    found = health_of(ticks(*[HZ_100] * 50, 4 * HZ_100, *[HZ_100] * 50, 20 * HZ_100, HZ_100))

    assert found["gaps"] == 1
    assert 0.15 <= float(str(found["longest_gap_seconds"])) <= 0.2


def test_bursts_are_no_gaps() -> None:
    assert health_of(ticks(*[1000, 1000, 1000, 10 * HZ_100] * 50))["gaps"] == 0


def test_steps_back_are_counted() -> None:
    found = health_of(ticks(HZ_100, HZ_100, -HZ_100 // 2, HZ_100))

    assert found["out_of_order"] == 1


def test_publishers_of_one_topic_keep_their_own_pace() -> None:
    other = OtherPublisher("/tick", "json")
    early, late = ([(channel, START + n * HZ_100, b"{}") for n in range(20)] for channel in (TICK, other))

    assert health_of(mcap([*early, *late]))["out_of_order"] == 0


def test_a_sound_recording_is_healthy() -> None:
    found = check(MemoryReader(robot_recording(seconds=1)))

    assert found.is_healthy
    assert found.described()["health"]["messages"] == 361
    assert found.summary() == "healthy: 6 topics, 361 messages, 1 chunks (0 damaged, 0 without a CRC)"


def test_a_recording_that_was_cut_off_is_not_healthy() -> None:
    content = robot_recording(seconds=9)

    found = check(MemoryReader(content[: len(content) // 2 + len(content) // 4]))

    assert not found.is_healthy
    assert found.summary().startswith("not finished: 6 topics")


def test_a_damaged_chunk_and_a_topic_that_nobody_reads_are_not_healthy() -> None:
    content = bytearray(mcap([(Channel("/odd", "octets"), START, bytes(10))]))
    content[60] ^= 1

    damaged, unreadable = check(MemoryReader(bytes(content))), check(MemoryReader(mcap([], declared=[Channel("/odd")])))

    assert (damaged.is_healthy, damaged.health.damaged) == (False, 1)
    assert unreadable.errors == [
        "topic /odd: no table: message encoding 'cdr' with schema encoding '' is not supported"
    ]


def test_the_table_is_aligned_and_holds_nothing_that_a_terminal_obeys() -> None:
    content = mcap([], declared=[Channel("/bell\x07\n/two", "json"), json_topic("/long/name/of/a/topic")])

    lines = check(MemoryReader(content)).table().splitlines()

    assert lines[1].startswith("/bell\\u0007\\u000a/two ")
    assert len({line.index("json") for line in lines[1:]} | {lines[0].index("encoding")}) == 1


def test_the_last_time_of_all_can_be_shown() -> None:
    content = mcap([(TICK, 2**64 - 1, b"{}")])

    assert "2554-07-21 23:34:33.709" in check(MemoryReader(content)).table()


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_it_is_the_same_for_any_number_of_workers(workers: int) -> None:
    content = robot_recording(seconds=5)

    assert check(MemoryReader(content), workers).described() == check(MemoryReader(content), 1).described()


def test_a_manifest_says_the_same(convert: Convert) -> None:
    content = robot_recording(seconds=1)

    manifest, described = convert(content).manifest, check(MemoryReader(content)).described()

    assert (manifest["health"], manifest["topics"]) == (described["health"], described["topics"])


def test_what_is_no_recording_has_no_health() -> None:
    with pytest.raises(NotMcap):
        check(MemoryReader(b"a,b\n1,2\n"))


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script as a person would."""
    line = [sys.executable, "-m", "scripts.convert_recording", *arguments]
    return subprocess.run(line, capture_output=True, text=True, env={}, check=False, timeout=60)


def test_the_command_tells_health_by_its_exit_code(tmp_path: Path) -> None:
    content = robot_recording(seconds=0.5)
    files = {"sound": content, "cut": content[: len(content) // 2], "other": b"no recording"}
    for name, made in files.items():
        (tmp_path / name).write_bytes(made)

    runs = {name: command(str(tmp_path / name), "--check", "--json") for name in files}

    assert {name: run.returncode for name, run in runs.items()} == {"sound": 0, "cut": 1, "other": 65}
    assert json.loads(runs["sound"].stdout) == check(MemoryReader(content)).described()
    assert {path.name for path in tmp_path.iterdir()} == {*files}
