"""The bytes of both generations, as they were seen on the wire."""

import pytest

from fieldpipe.broker.protocol import read_process, read_send, write_reply, write_status
from fieldpipe.broker.reading import BadReading, Reading, Reply

WEBHOOK_V2 = bytes.fromhex("0a07776562686f6f6b12106170706c69636174696f6e2f6a736f6e1a027b7d22077b2261223a317d")


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def test_a_request_of_generation_2_is_read_as_collectors_write_it() -> None:
    reading = read_process(WEBHOOK_V2)

    seen = (reading.collector, reading.content_type, reading.metadata, reading.payload, reading.generation)
    assert seen == ("webhook", "application/json", {}, b'{"a":1}', 2)


def test_a_request_of_generation_1_is_read_as_collectors_write_it() -> None:
    reading = read_send(field(1, b"collector") + field(2, b"mqtt") + field(3, "23 °C".encode()))

    seen = (reading.kind, reading.collector, reading.payload, reading.metadata, reading.generation)
    assert seen == ("collector", "mqtt", "23 °C".encode(), {}, 1)


@pytest.mark.parametrize(
    ("metadata", "device"),
    [
        ("", ""),
        ('{"topic": "kitchen:1", "peer_addr": "10.0.0.1:9"}', "kitchen:1"),
        ('{"peer_addr": "10.0.0.1:53211"}', "10.0.0.1"),
        ('{"peer_addr": "[fe80::1]:53211"}', "[fe80::1]"),
        ('{"peer_addr": "fe80::1"}', "fe80::1"),
    ],
)
def test_a_device_is_what_the_metadata_name_not_one_of_its_connections(metadata: str, device: str) -> None:
    assert read_process(field(1, b"tcp") + field(3, metadata.encode())).device == device


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xff", "no KrakenRequest"),
        (field(1, b"\xff\xfe"), "no KrakenRequest"),
        (field(2, b"text/plain"), "collector_name"),
        (field(1, b"serial") + field(3, b"{"), "metadata is no JSON"),
        (field(1, b"serial") + field(3, b"[1]"), "a list"),
        (field(1, b"serial") + field(3, b'{"a": NaN}'), "NaN"),
        (field(1, b"serial") + field(3, b'{"a":' * 20), "metadata is no JSON"),
    ],
)
def test_what_is_no_request_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadReading, match=reason):
        read_process(data)


def test_an_empty_provider_is_refused() -> None:
    with pytest.raises(BadReading, match="provider"):
        read_send(field(1, b"collector") + field(3, b"{}"))


def test_the_status_of_generation_1() -> None:
    assert (write_status(1), write_status(0)) == (b"\x08\x01", b"")


def test_a_reply_names_the_collector_of_the_reading_unless_it_names_another() -> None:
    reading = Reading("id", 1, "tcp", "application/octet-stream", {}, b"")
    reply = Reply(b"ok", "text/plain", {"response_type": "tcp"})

    fields = [b"tcp", b"text/plain", b'{"response_type": "tcp"}', b"ok"]
    assert write_reply(reading, reply) == b"".join(field(number, each) for number, each in enumerate(fields, start=1))
    assert write_reply(reading, Reply(collector="websocket"))[:11] == field(1, b"websocket")


def test_no_answer_names_no_collector_so_that_none_passes_it_on() -> None:
    assert write_reply(Reading("id", 1, "tcp", "", {}, b""), None) == field(3, b"{}")
