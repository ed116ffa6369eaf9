"""`scripts.broker_dead_letters`, beside a broker and without one."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks.sink import SinkRefused
from tests.broker.broker_process import PROJECT
from tests.broker.brokers import Memory, running
from tests.broker.collectors import PROCESS, call, request_v2
from tests.waiting import eventually


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.broker_dead_letters", *words],
        env={"KRAKENB_SPOOL": str(folder / "spool"), "PATH": ""},
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )


def test_letters_are_listed_shown_and_delivered_when_the_sink_is_mended(tmp_path: Path) -> None:
    sink = Memory("influxdb")
    strict = True

    def fail(readings: Sequence[Reading]) -> None:
        if strict and any(reading.payload == b'"warm"' for reading in readings):
            raise SinkRefused("temp: a text where numbers are")

    sink.fail = fail
    with running(tmp_path, [sink]) as broker, broker.channel() as channel:
        for payload in (b"20", b'"warm"', b"21"):
            call(channel, PROCESS, request_v2("serial", "application/json", '{"device_name": "oven"}', payload))
        eventually(lambda: broker.metrics()['broker_dead{sink="influxdb"}'] == 1)

        listed = command(tmp_path, "list", "--sink", "influxdb")
        shown = command(tmp_path, "show", "influxdb", "2")
        strict = False
        retried = command(tmp_path, "retry", "influxdb")
        eventually(lambda: len(sink.readings) == 3, 30)

    assert listed.stdout.split()[:2] == ["influxdb", "2"]
    assert listed.stdout.endswith("serial oven: temp: a text where numbers are\n")
    letter = json.loads(shown.stdout)
    assert (letter["reason"], letter["payload"], letter["metadata"]) == (
        "temp: a text where numbers are",
        '"warm"',
        {"device_name": "oven"},
    )
    assert (retried.returncode, retried.stdout) == (0, "1 of 1 wait for influxdb again\n")
    assert [reading.payload for reading in sink.readings] == [b"20", b"21", b'"warm"']


@pytest.mark.parametrize("words", [("show", "redis", "7"), ("retry", "redis", "7")])
def test_a_letter_that_is_not_there_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    with running(tmp_path):
        pass

    ended = command(tmp_path, *words)

    assert ended.returncode == 65
    assert "`list` shows what there is" in ended.stderr


def test_a_folder_without_a_spool_is_told_and_none_is_made(tmp_path: Path) -> None:
    ended = command(tmp_path, "list")

    assert ended.returncode == 65
    assert "has a broker run with this folder?" in ended.stderr
    assert list(tmp_path.iterdir()) == []
