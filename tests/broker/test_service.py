"""The broker as collectors see it: both generations on one port, and what each mistake is answered with."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from fieldpipe.broker.reading import Reading, Reply
from fieldpipe.broker.sinks.sink import SinkRefused, SinkUnavailable
from fieldpipe.errors import ConfigurationError, TransientError
from tests.broker.brokers import Memory, Nobody, Running, running, settings_for
from tests.broker.collectors import PROCESS, SEND, call, fields_v2, request_v1, request_v2, status_v1
from tests.cluster.pki import Authority
from tests.waiting import eventually

SEED = '{"id":"101", "name":"env-sensor", "temp":"25.6", "hum":"52.4"}'


class Echo(Nobody):
    """Handlers: answer with what came."""

    async def ask(self, reading: Reading) -> Reply | None:
        return Reply(reading.payload, reading.content_type, {"response_type": "tcp"})


class Asleep(Nobody):
    """Handlers: none answers in time."""

    async def ask(self, reading: Reading) -> Reply | None:
        await asyncio.sleep(0)
        raise TransientError("Broker processing timed out")


def code_of(broker: Running, method: str, request: bytes, token: str | None = None) -> grpc.StatusCode:
    with broker.channel() as channel, pytest.raises(grpc.RpcError) as raised:
        call(channel, method, request, token=token)
    code: grpc.StatusCode = raised.value.code()
    return code


def test_unchanged_collectors_of_both_generations_are_served_on_one_port(tmp_path: Path) -> None:
    sink = Memory()
    with running(tmp_path, [sink], Echo()) as broker, broker.channel() as channel:
        assert status_v1(call(channel, SEND, request_v1("collector", "webhook", SEED))) == 1
        answer = call(channel, PROCESS, request_v2("tcp", "text/plain", '{"peer_addr": "10.0.0.1:9"}', b"ping"))
        eventually(lambda: len(sink.readings) == 2)

    assert fields_v2(answer) == (b"tcp", b"text/plain", b'{"response_type": "tcp"}', b"ping")
    seen = [(each.generation, each.collector, each.device, each.payload) for each in sink.readings]
    assert seen == [(1, "webhook", "", SEED.encode()), (2, "tcp", "10.0.0.1", b"ping")]


def test_a_sender_learns_its_mistakes_and_nothing_of_them_is_stored(tmp_path: Path) -> None:
    sink = Memory()
    with running(tmp_path, [sink], max_message_bytes=1024) as broker:
        mistakes = [
            request_v2("", "text/plain", "{}", b""),
            request_v2("serial", "text/plain", "{", b""),
            request_v2("serial", "text/plain", "[]", b""),
            b"\xff\xff\xff",
        ]
        codes = [code_of(broker, PROCESS, each) for each in mistakes]
        too_large = code_of(broker, PROCESS, request_v2("camera", "application/octet-stream", "{}", bytes(1024)))
        empty = code_of(broker, SEND, request_v1("collector", "", SEED))
        metrics = broker.metrics()

    assert (codes, empty) == ([grpc.StatusCode.INVALID_ARGUMENT] * 4, grpc.StatusCode.INVALID_ARGUMENT)
    assert too_large is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert metrics['broker_calls_total{code="INVALID_ARGUMENT"}'] == 5
    assert sink.readings == []


def test_sixteen_mebibytes_pass_by_default_and_one_byte_more_does_not(tmp_path: Path) -> None:
    limit = 16 * 1024 * 1024
    sink = Memory()
    frame = len(request_v2("camera", "", "", bytes(limit))) - limit
    with running(tmp_path, [sink]) as broker:
        with broker.channel() as channel:
            call(channel, PROCESS, request_v2("camera", "", "", bytes(limit - frame)))
        code = code_of(broker, PROCESS, request_v2("camera", "", "", bytes(limit - frame + 1)))
        eventually(lambda: len(sink.readings) == 1)

    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_full_spool_is_told_to_who_sends_and_empties_when_a_sink_takes_again(tmp_path: Path) -> None:
    sink = Memory()
    down = True

    def fail(_: Sequence[Reading]) -> None:
        if down:
            raise SinkUnavailable("away", retry_after=0.05)

    sink.fail = fail
    request = request_v2("serial", "", "", bytes(300_000))
    with running(tmp_path, [sink], spool_bytes=1024 * 1024) as broker, broker.channel() as channel:
        for _ in range(3):
            call(channel, PROCESS, request)
        assert code_of(broker, PROCESS, request) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (
            code_of(broker, SEND, request_v1("collector", "mqtt", "x" * 300_000)) is grpc.StatusCode.RESOURCE_EXHAUSTED
        )
        down = False
        eventually(lambda: len(sink.readings) == 3)
        eventually(lambda: broker.metrics()["broker_spool_bytes"] == 0)
        call(channel, PROCESS, request)
        eventually(lambda: len(sink.readings) == 4)


def test_handlers_that_are_too_slow_are_told_and_the_reading_is_delivered(tmp_path: Path) -> None:
    sink = Memory()
    with running(tmp_path, [sink], Asleep()) as broker:
        code = code_of(broker, PROCESS, request_v2("serial", "", "", b"1"))
        with broker.channel() as channel:
            assert status_v1(call(channel, SEND, request_v1("collector", "mqtt", "2"))) == 1
        eventually(lambda: len(sink.readings) == 2)

    assert code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_with_a_token_only_who_sends_it_is_served_and_health_needs_none(tmp_path: Path) -> None:
    sink = Memory()
    request = request_v2("serial", "", "", b"1")
    with running(tmp_path, [sink], token="s3cret") as broker, broker.channel() as channel:
        codes = {code_of(broker, method, request, token) for method in (PROCESS, SEND) for token in (None, "s3cre")}
        call(channel, PROCESS, request, token="s3cret")
        health = call(channel, "/grpc.health.v1.Health/Check", b"")
        eventually(lambda: len(sink.readings) == 1)

    assert codes == {grpc.StatusCode.UNAUTHENTICATED}
    assert health_pb2.HealthCheckResponse.FromString(health).status == health_pb2.HealthCheckResponse.SERVING


def test_a_slow_a_failing_and_a_broken_sink_delay_no_other(tmp_path: Path) -> None:
    well, slow, away, broken = Memory("well"), Memory("slow"), Memory("away"), Memory("broken")
    release = asyncio.Event()

    def hang(_: Sequence[Reading]) -> None:
        eventually(release.is_set, 30)

    def refuse(_: Sequence[Reading]) -> None:
        raise SinkUnavailable("no route to host")

    def bug(_: Sequence[Reading]) -> None:
        raise KeyError("x")

    slow.fail, away.fail, broken.fail = hang, refuse, bug
    with running(tmp_path, [slow, away, broken, well]) as broker, broker.channel() as channel:
        for number in range(50):
            call(channel, PROCESS, request_v2("serial", "", "", str(number).encode()))
        eventually(lambda: len(well.readings) == 50)
        metrics = broker.metrics()
        release.set()
        eventually(lambda: len(slow.readings) == 50)

    assert [reading.payload for reading in well.readings] == [str(number).encode() for number in range(50)]
    assert metrics['broker_queued{sink="slow"}'] == metrics['broker_queued{sink="away"}'] == 50
    assert metrics['broker_sink_failures{sink="away"}'] > 0
    assert metrics['broker_sink_failures{sink="broken"}'] > 0


def test_what_a_sink_takes_while_the_broker_ends_is_not_delivered_again(tmp_path: Path) -> None:
    sink = Memory()
    begun = asyncio.Event()

    def last_until_it_ends(_: Sequence[Reading]) -> None:
        begun.set()
        eventually(lambda: not broker.listens(), 30)
        time.sleep(0.5)  # then deliveries are told

    sink.fail = last_until_it_ends
    with running(tmp_path, [sink]) as broker, broker.channel() as channel:
        call(channel, PROCESS, request_v2("serial", "", "", b"once"))
        eventually(begun.is_set)
    with running(tmp_path, [sink]) as broker:
        metrics = broker.metrics()

    assert [reading.payload for reading in sink.readings] == [b"once"]
    assert (metrics['broker_delivered_total{sink="memory"}'], metrics['broker_queued{sink="memory"}']) == (1, 0)


def test_of_many_readings_only_the_one_that_the_sink_refuses_is_a_dead_letter(tmp_path: Path) -> None:
    sink = Memory()

    def fail(readings: Sequence[Reading]) -> None:
        if any(reading.payload == b"13" for reading in readings):
            raise SinkRefused("13 is unlucky")

    sink.fail = fail
    with running(tmp_path, [sink]) as broker, broker.channel() as channel:
        for number in range(40):
            call(channel, PROCESS, request_v2("serial", "", "", str(number).encode()))
        eventually(lambda: broker.metrics()['broker_queued{sink="memory"}'] == 0)
        metrics = broker.metrics()

    assert [int(reading.payload) for reading in sink.readings] == [number for number in range(40) if number != 13]
    assert (metrics['broker_received_total{sink="memory"}'], metrics['broker_delivered_total{sink="memory"}']) == (
        40,
        39,
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority.create(tmp_path_factory.mktemp("pki"))
    authority.issue("server", "broker", hosts=["127.0.0.1"])
    authority.issue("client", "collector")
    return authority


@pytest.mark.parametrize("mutual", [False, True])
def test_with_tls_a_client_without_the_right_certificates_is_not_served(
    authority: Authority, tmp_path: Path, mutual: bool
) -> None:
    sink = Memory()
    ours = {"tls_cert": authority.file("server.crt"), "tls_key": authority.file("server.key")}
    others = {"tls_client_ca": authority.file("ca.crt")} if mutual else {}
    roots, key, chain = (authority.file(name).read_bytes() for name in ("ca.crt", "client.key", "client.crt"))
    pair = {"private_key": key, "certificate_chain": chain} if mutual else {}
    request = request_v2("serial", "", "", b"1")

    with running(tmp_path, [sink], **ours, **others) as broker:
        address = broker.settings.grpc_host
        with grpc.secure_channel(address, grpc.ssl_channel_credentials(roots, **pair)) as channel:
            call(channel, PROCESS, request)
        assert code_of(broker, PROCESS, request) is grpc.StatusCode.UNAVAILABLE
        if mutual:
            with (
                grpc.secure_channel(address, grpc.ssl_channel_credentials(roots)) as channel,
                pytest.raises(grpc.RpcError),
            ):
                call(channel, PROCESS, request)
        eventually(lambda: len(sink.readings) == 1)


@pytest.mark.parametrize(
    ("files", "variable"),
    [
        ({"tls_cert": Path("absent.crt")}, "KRAKENB_TLS_KEY"),
        ({"tls_client_ca": Path("absent.crt")}, "KRAKENB_TLS_CERT"),
        ({"tls_cert": Path("absent.crt"), "tls_key": Path("absent.key")}, "absent.key"),
    ],
)
def test_half_of_tls_is_told_by_the_names_of_its_variables(
    tmp_path: Path, files: dict[str, Path], variable: str
) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        asyncio.run(Running(settings_for(tmp_path, **files), []).broker.run(asyncio.Event()))


def test_an_address_that_is_taken_is_named(tmp_path: Path) -> None:
    with running(tmp_path / "one") as broker:
        others = settings_for(tmp_path / "two", grpc_host=broker.settings.grpc_host)
        with pytest.raises(ConfigurationError, match="KRAKENB_GRPC_HOST"):
            asyncio.run(Running(others, []).broker.run(asyncio.Event()))
