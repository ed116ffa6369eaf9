"""A broker that is killed while readings come in by HTTP and MQTT, and one whose handlers are as bad as can be."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from fieldpipe.broker.settings import MIB
from fieldpipe.local.ports import free_port
from tests.broker import mosquitto
from tests.broker.broker_process import HOST, BrokerProcess
from tests.broker.collectors import PROCESS, call, fields_v2, request_v2
from tests.broker.mosquitto import Mosquitto, start_mosquitto
from tests.broker.stand_ins import Answer, HttpServer, http_server
from tests.conftest import skip_unless_required
from tests.waiting import eventually

pytestmark = pytest.mark.fault

KILLS = 3
DEADLINE = 1.0

BAD_HANDLERS = {
    "a_broken.py": "1 / 0",
    "b_leaving.py": "import sys; sys.exit()",
    "c_raising.py": "raise RuntimeError(reading)",
    "d_sleeping.py": "import time; time.sleep(100_000)",
    "e_waiting.py": "import asyncio; await asyncio.Event().wait()",
    "f_stubborn.py": "import asyncio\n        while True:\n            try: await asyncio.sleep(9)\n"
    "            except asyncio.CancelledError: pass",
    "g_ending.py": "raise SystemExit(3)",
}
HANDLER = """
from fieldpipe.broker.handlers import Handler, Reading, Reply
class H(Handler):
    async def on(self, reading):
        {body}
"""


@pytest.fixture
def server(tmp_path: Path, mark: str) -> Iterator[Mosquitto]:
    if mosquitto.program() is None:
        skip_unless_required("no `mosquitto`: this test needs a real one", "FIELDPIPE_REQUIRE_MOSQUITTO")
    running = start_mosquitto(tmp_path / "mosquitto", mark)
    yield running
    running.stop()


@pytest.fixture
def sink() -> Iterator[HttpServer]:
    with http_server() as found:
        yield found


class Posts(threading.Thread):
    """Posts numbers until it is told to end; `acknowledged` are those that were answered with 200."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[bytes] = []
        self.ends = threading.Event()
        self._url = url

    def run(self) -> None:
        number = 0
        with httpx.Client(timeout=5) as client:
            while not self.ends.is_set():
                number += 1
                body = b'"http %d"' % number
                try:
                    answered = client.post(self._url, content=body).status_code
                except httpx.TransportError:
                    self.ends.wait(0.05)
                else:
                    assert answered == 200
                    self.acknowledged.append(body)

    def more(self, posts: int) -> None:
        goal = len(self.acknowledged) + posts
        eventually(lambda: len(self.acknowledged) >= goal, 60)


def broker_with_both(folder: Path, port: int, server: Mosquitto, sink: HttpServer, **variables: str) -> BrokerProcess:
    """With both entrances; readings go to the webhook."""
    given = {
        "KRAKENB_WEBHOOK_URL": sink.url,
        "KRKNC_WEBHOOK_PATH": "in",
        "KRKNC_WEBHOOK_PORT": str(port),
        "KRKNC_MQTT_HOST": HOST,
        "KRKNC_MQTT_PORT": str(server.port),
    }
    return BrokerProcess(folder, given | variables)


def test_what_came_in_by_http_and_mqtt_is_delivered_whenever_the_broker_is_killed(
    tmp_path: Path, server: Mosquitto, sink: HttpServer
) -> None:
    port = free_port({server.port})
    broker = broker_with_both(tmp_path, port, server, sink)
    posts = Posts(f"http://{HOST}:{port}/in")
    published: list[bytes] = []
    try:
        broker.start()
        eventually(lambda: "kraken (QoS 1)" in server.log.read_text())  # from now on there is a session
        posts.start()
        for kill in range(KILLS):
            published += [b'"mqtt %d %d"' % (kill, number) for number in range(200)]
            server.publish(published[-200:])
            posts.more(20)
            broker.child.kill()
            broker.start()
        posts.more(20)
        posts.ends.set()
        posts.join(10)

        wanted = {*published, *posts.acknowledged}
        eventually(lambda: wanted <= set(sink.bodies), 60, lambda: wanted - set(sink.bodies))
        eventually(lambda: not broker.metrics()['broker_queued{sink="webhook"}'], 60)
    finally:
        posts.ends.set()
        broker.child.kill()


def test_while_the_spool_is_full_both_ways_in_hold_back_and_nothing_is_lost(
    tmp_path: Path, server: Mosquitto, sink: HttpServer
) -> None:
    port = free_port({server.port})
    broker = broker_with_both(tmp_path, port, server, sink, KRAKENB_SPOOL_BYTES=str(MIB))
    sink.answers += [Answer(503)] * 10_000
    posted = [b'"http %d %s"' % (number, b"a" * (MIB // 4)) for number in range(10)]
    published = [b'"mqtt %d %s"' % (number, b"a" * (MIB // 8)) for number in range(30)]
    try:
        broker.start()
        eventually(lambda: "kraken (QoS 1)" in server.log.read_text())
        with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=10) as client:
            answers = [client.post("/in", content=body) for body in posted]
            server.publish(published)
            eventually(lambda: "mqtt_waits" in broker.child.log.read_text())
            taken = [body for body, answer in zip(posted, answers, strict=True) if answer.status_code == 200]
            assert {(a.status_code, a.headers.get("Retry-After")) for a in answers} == {(200, None), (503, "5")}

            sink.answers.clear()
            eventually(lambda: {*taken, *published} <= set(sink.bodies), 90)
            assert client.post("/in", content=posted[-1]).status_code == 200
    finally:
        broker.child.kill()


def test_bad_handlers_hurt_neither_readings_nor_other_handlers_nor_the_end(tmp_path: Path, sink: HttpServer) -> None:
    folder = tmp_path / "handlers"
    folder.mkdir()
    for name, body in BAD_HANDLERS.items():
        (folder / name).write_text(body if name < "c" else HANDLER.format(body=body))
    (folder / "z_good.py").write_text(HANDLER.format(body="return Reply(reading.payload)"))
    environment = {"KRAKENB_HANDLERS": str(folder), "KRAKENB_DEADLINE_SECONDS": str(DEADLINE)}
    broker = BrokerProcess(tmp_path, {**environment, "KRAKENB_WEBHOOK_URL": sink.url})

    def ask(channel: grpc.Channel, number: int) -> float:
        """How long it took."""
        began = time.monotonic()
        request = request_v2("serial", "text/plain", "{}", b"%d" % number)
        assert fields_v2(call(channel, PROCESS, request, seconds=10))[3] == b"%d" % number
        return time.monotonic() - began

    broker.start()
    try:
        with broker.channel() as channel:
            took = [ask(channel, number) for number in range(30)]
        # The one that only waits is cancelled and asked again; after its third time nobody waits for anybody.
        assert 1 <= sum(seconds >= DEADLINE for seconds in took) <= 5
        eventually(lambda: len(sink.bodies) == 30)
        assert "handler_left_out" in broker.child.log.read_text()
    finally:
        broker.child.ask_to_stop()
        ended = broker.child.wait(20)
        broker.child.kill()
    assert ended == 0
