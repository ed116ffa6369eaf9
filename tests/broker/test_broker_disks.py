"""A broker whose disk is full: who sends is told, and what was acknowledged is delivered."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
import pytest

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks.sink import SinkUnavailable
from tests.broker.broker_process import emptied
from tests.broker.brokers import Memory, running
from tests.broker.collectors import PROCESS, call, request_v2
from tests.waiting import eventually

pytestmark = pytest.mark.fault

DISK = "48m"  # of which readings leave 32 free


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs takes root: a full disk is not tested here (a full spool is)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_while_the_disk_is_full_nothing_is_acknowledged_that_is_not_stored(small_disk: Path) -> None:
    sink = Memory(at_once=1)
    away = True

    def fail(_: Sequence[Reading]) -> None:
        if away:
            raise SinkUnavailable("away", retry_after=0.05)

    sink.fail = fail
    acknowledged: list[bytes] = []
    refused: list[grpc.StatusCode] = []
    with running(small_disk, [sink]) as broker, broker.channel() as channel:

        def send(numbers: range) -> None:
            for number in numbers:
                payload = str(number).encode().ljust(100_000)
                try:
                    call(channel, PROCESS, request_v2("serial", "", "", payload))
                except grpc.RpcError as error:
                    refused.append(error.code())
                else:
                    acknowledged.append(payload)

        send(range(200))
        assert set(refused) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert acknowledged
        away = False
        eventually(lambda: len(sink.readings) == len(acknowledged), 30)
        before = len(refused)
        send(range(200, 205))
        assert len(refused) == before
        metrics = eventually(lambda: emptied(broker.metrics(), "memory"), 30)

    assert [reading.payload for reading in sink.readings] == acknowledged
    assert metrics['broker_delivered_total{sink="memory"}'] == len(acknowledged)
