"""The MQTT entrance, with a real mosquitto."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish
from pydantic import SecretStr

from fieldpipe.broker.entrances import mqtt
from fieldpipe.broker.entrances.mqtt import MqttEntrance, open_entrance
from fieldpipe.broker.entrances.mqttsettings import MqttSettings
from fieldpipe.broker.reading import BadReading, Reading
from fieldpipe.broker.spool import SpoolFull
from fieldpipe.errors import ConfigurationError
from tests.broker import mosquitto
from tests.broker.mosquitto import HOST, PASSWORD, USER, Mosquitto, start_mosquitto
from tests.cluster.pki import Authority
from tests.conftest import skip_unless_required, stopped_afterwards
from tests.waiting import eventually

IN_FLIGHT = 20  # unacknowledged messages that mosquitto sends


@pytest.fixture(scope="module")
def mosquitto_is_here() -> None:
    """Without mosquitto these tests are skipped; where CI has it (FIELDPIPE_REQUIRE_MOSQUITTO=1) they fail."""
    if mosquitto.program() is None:
        skip_unless_required("no `mosquitto`: this test needs a real one", "FIELDPIPE_REQUIRE_MOSQUITTO")


@pytest.fixture(scope="module")
def server(mosquitto_is_here: None, tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[Mosquitto]:
    """The module's mosquitto. Tests use client ids and topics of their own."""
    running = start_mosquitto(tmp_path_factory.mktemp("mosquitto"), mark)
    yield running
    running.stop()


@pytest.fixture
def server_factory(mosquitto_is_here: None, tmp_path: Path, mark: str) -> Iterator[Callable[..., Mosquitto]]:
    """`server_factory(*options)`: one of the test's own, to be killed and started again."""
    yield from stopped_afterwards(lambda *options: start_mosquitto(tmp_path / "mosquitto", mark, options))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Client id and topic of a test."""
    return request.node.name.replace("[", "-").replace("]", "")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "RECONNECT_SECONDS", (1, 1))
    monkeypatch.setattr(mqtt, "PAUSES", (0.01, 0.05))
    monkeypatch.setattr(mqtt, "GRACE_SECONDS", 0.3)


class Taken:
    """What takes readings; `fail` may raise for one."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.attempts = 0
        self.fail: Callable[[Reading], None] = lambda _: None

    @property
    def payloads(self) -> list[bytes]:
        return [reading.payload for reading in self.readings]

    async def take(self, reading: Reading) -> None:
        self.attempts += 1
        await asyncio.sleep(0)
        self.fail(reading)
        self.readings.append(reading)

    def is_full(self, _reading: Reading) -> None:
        raise SpoolFull("no room")


@contextmanager
def entering(taken: Taken, **settings: Any) -> Iterator[MqttEntrance]:
    """An entrance in an event loop of its own, connected or not; stopped afterwards."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        entrance = open_entrance(taken.take, MqttSettings(**{"host": HOST, **settings}))
        asyncio.run_coroutine_threadsafe(entrance.start(), loop).result(10)
        try:
            yield entrance
        finally:
            asyncio.run_coroutine_threadsafe(entrance.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def subscribed(server: Mosquitto, taken: Taken, name: str, **settings: Any) -> Iterator[MqttEntrance]:
    """One that is connected and whose session is there: what is published from now on arrives.

    In the end the server has read our last acknowledgements: it forgets them when the same client comes too soon.
    """
    farewell = f"Client {name} disconnected"
    before = server.log.read_text().count(farewell)
    named = {"port": server.port, "client_id": name, "topic": name, **settings}
    with entering(taken, **named) as entrance:
        eventually(entrance.is_subscribed)
        yield entrance
    eventually(lambda: server.log.read_text().count(farewell) > before)


def numbers(first: int, last: int) -> list[bytes]:
    return [str(number).encode() for number in range(first, last + 1)]


@pytest.mark.parametrize(
    ("payload", "content_type"),
    [
        (b'{"temp": 25.60}', "application/json"),
        (b"25.6 C", "text/plain"),
        (b"\xff\x00\xfe", "application/octet-stream"),
        (b"", "text/plain"),
        (b"NaN", "text/plain"),
    ],
)
def test_a_message_is_a_reading_whose_payload_nobody_touched(
    server: Mosquitto, payload: bytes, content_type: str
) -> None:
    taken = Taken()
    with subscribed(server, taken, "types"):
        server.publish([payload], "types")
        (reading,) = eventually(lambda: taken.readings)

    assert (reading.collector, reading.kind, reading.generation) == ("mqtt", "collector", 2)
    assert (reading.content_type, reading.payload, reading.device) == (content_type, payload, "types")
    assert reading.metadata == {"topic": "types", "qos": 1, "retain": False}


def test_topics_wildcards_qos_and_retain(server: Mosquitto, name: str) -> None:
    taken = Taken()
    server.publish([b"kept"], f"{name}/a/state", retain=True)

    with subscribed(server, taken, name, topic=f"{name}/+/state, {name}/all/#"):
        eventually(lambda: taken.readings)
        server.publish([b"0"], f"{name}/all", qos=0)
        server.publish([b"2"], f"{name}/all/b/c", qos=2)
        server.publish([b"other"], f"{name}/a/other")
        server.publish([b"last"], f"{name}/b/state")
        eventually(lambda: len(taken.readings) == 4)

    assert [(r.payload, *r.metadata.values()) for r in taken.readings] == [
        (b"kept", f"{name}/a/state", 1, True),
        (b"0", f"{name}/all", 0, False),
        (b"2", f"{name}/all/b/c", 1, False),
        (b"last", f"{name}/b/state", 1, False),
    ]


def test_messages_are_taken_in_order(server: Mosquitto, name: str) -> None:
    taken = Taken()
    with subscribed(server, taken, name):
        server.publish(numbers(1, 500), name)
        eventually(lambda: len(taken.readings) == 500)

    assert taken.payloads == numbers(1, 500)


def test_what_was_published_while_nobody_was_there_arrives(server: Mosquitto, name: str) -> None:
    taken = Taken()
    with subscribed(server, taken, name):
        pass
    server.publish(numbers(1, 50), name)

    with subscribed(server, taken, name):
        eventually(lambda: len(taken.readings) == 50)

    assert taken.payloads == numbers(1, 50)


def test_what_was_not_stored_is_not_acknowledged_and_comes_again(server: Mosquitto, name: str) -> None:
    first, second, third = Taken(), Taken(), Taken()
    first.fail = first.is_full
    with subscribed(server, first, name):
        server.publish(numbers(1, 50), name)
        eventually(lambda: first.attempts >= 10)  # again and again; the server waits
    assert first.readings == []

    with subscribed(server, second, name):
        eventually(lambda: len(second.readings) == 50)
    with subscribed(server, third, name):
        server.publish([b"last"], name)
        eventually(lambda: third.readings)

    assert (second.payloads, third.payloads) == (numbers(1, 50), [b"last"])


def test_while_there_is_no_room_nothing_is_acknowledged_and_then_it_goes_on_in_order(
    server: Mosquitto, name: str
) -> None:
    taken = Taken()
    seen: set[bytes] = set()

    def full(reading: Reading) -> None:
        seen.add(reading.payload)
        raise SpoolFull("no room")

    taken.fail = full
    with subscribed(server, taken, name):
        server.publish(numbers(1, 100), name)
        eventually(lambda: taken.attempts >= 10)
        assert 0 < len(seen) <= IN_FLIGHT
        taken.fail = lambda _: None
        eventually(lambda: len(taken.readings) == 100)

    assert taken.payloads == numbers(1, 100)


def test_a_message_that_will_never_be_taken_does_not_hold_up_the_others(server: Mosquitto, name: str) -> None:
    taken = Taken()

    def refuse(reading: Reading) -> None:
        if reading.payload == b"bad":
            raise BadReading("never")

    taken.fail = refuse
    with subscribed(server, taken, name, max_bytes=1024):
        server.publish([b"1", b"bad", b"a" * 1025, b"2"], name)
        eventually(lambda: len(taken.readings) == 2)
    with subscribed(server, taken, name):
        server.publish([b"3"], name)
        eventually(lambda: len(taken.readings) == 3)

    assert taken.payloads == [b"1", b"2", b"3"]


def test_qos_0_does_not_fill_the_memory(server: Mosquitto, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "WAITING", 10)
    taken = Taken()
    taken.fail = taken.is_full
    with subscribed(server, taken, name) as entrance:
        server.publish([b"first"], name)
        eventually(lambda: taken.attempts)
        server.publish(numbers(1, 100), name, qos=0)
        eventually(lambda: entrance.dropped == 91)
        taken.fail = lambda _: None
        eventually(lambda: len(taken.readings) == 10)

    assert taken.payloads == [b"first", *numbers(1, 9)]


def test_a_server_that_is_killed_and_comes_back_loses_nothing_that_it_acknowledged(
    server_factory: Callable[..., Mosquitto], name: str
) -> None:
    server, taken = server_factory(), Taken()
    with subscribed(server, taken, name) as entrance:
        server.publish(numbers(1, 20), name)
        eventually(lambda: len(taken.readings) == 20)
        server.kill()
        eventually(lambda: not entrance.is_subscribed())
        server.start()
        eventually(entrance.is_subscribed)
        server.publish(numbers(21, 40), name)
        eventually(lambda: set(numbers(1, 40)) <= set(taken.payloads))


def test_a_server_that_is_not_there_yet_is_waited_for(server_factory: Callable[..., Mosquitto], name: str) -> None:
    server, taken = server_factory(), Taken()
    server.stop()
    with entering(taken, port=server.port, topic=name) as entrance:
        server.start()
        eventually(entrance.is_subscribed)
        server.publish([b"1"], name)
        eventually(lambda: taken.readings)


def test_an_acknowledgement_is_for_the_connection_that_the_message_came_by(
    server_factory: Callable[..., Mosquitto], name: str
) -> None:
    """A server that forgot our session numbers its messages anew: what is stored late must not stand for another."""
    server, taken = server_factory("persistence false"), Taken()
    taken.fail = taken.is_full
    with subscribed(server, taken, name) as entrance:
        server.publish([b"old"], name)
        eventually(lambda: taken.attempts)
        server.kill()
        eventually(lambda: not entrance.is_subscribed())
        server.start()
        eventually(entrance.is_subscribed)
        server.publish([b"new"], name)

        def only_old(reading: Reading) -> None:
            if reading.payload == b"new":
                raise SpoolFull("no room")

        taken.fail = only_old
        eventually(lambda: taken.payloads == [b"old"])

    again = Taken()
    with subscribed(server, again, name):
        eventually(lambda: again.payloads == [b"new"])


def test_user_and_password(server_factory: Callable[..., Mosquitto], tmp_path: Path, name: str) -> None:
    server = server_factory(f"password_file {mosquitto.write_passwords(tmp_path / 'secrets')}")
    taken = Taken()
    with subscribed(server, taken, name, user=USER, password=SecretStr(PASSWORD)):
        auth = {"username": USER, "password": PASSWORD}
        publish.single(name, b"1", 1, hostname=HOST, port=server.port, auth=auth)  # type: ignore[arg-type]
        eventually(lambda: taken.readings)


def test_a_wrong_password_is_told(
    server_factory: Callable[..., Mosquitto], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(mqtt.log, "error", lambda event, **fields: told.append(f"{event}: {fields['reason']}"))
    server = server_factory(f"password_file {mosquitto.write_passwords(tmp_path / 'secrets')}")

    with entering(Taken(), port=server.port, user=USER, password=SecretStr("wrong")):
        eventually(lambda: told)

    assert told[0] == "mqtt_refused: Not authorized"


def test_mutual_tls(server_factory: Callable[..., Mosquitto], tmp_path: Path, name: str) -> None:
    authority = Authority.create(tmp_path / "pki")
    authority.issue("server", "mosquitto", hosts=[HOST])
    authority.issue("client", "broker")
    ca, crt, key = (str(authority.file(file)) for file in ("ca.crt", "server.crt", "server.key"))
    server = server_factory(f"cafile {ca}", f"certfile {crt}", f"keyfile {key}", "require_certificate true")
    ours = {"certfile": str(authority.file("client.crt")), "keyfile": str(authority.file("client.key"))}
    files = {"tls": True, "ca": ca, "cert": ours["certfile"], "key": ours["keyfile"]}
    taken = Taken()

    with subscribed(server, taken, name, **files):
        publish.single(name, b"1", 1, hostname=HOST, port=server.port, tls={"ca_certs": ca, **ours})
        eventually(lambda: taken.readings)

    with pytest.raises(ConfigurationError, match="KRKNC_MQTT_CA"), entering(taken, **(files | {"ca": tmp_path / "no"})):
        pass
