"""What the sinks of Slack, webhook and WebSocket send of a reading, and what their settings take."""

import json
from email.utils import formatdate
from time import time

import pytest

from fieldpipe.broker.reading import Reading
from fieldpipe.broker.sinks import registry, slack, webhook, websocket
from fieldpipe.broker.sinks.retryafter import retry_after
from fieldpipe.errors import ConfigurationError
from tests.unit.broker.readings import START, reading

SEED = b'{"id":"101", "name":"env-sensor", "temp":"25.6", "hum":"52.4"}'


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (
            reading(payload=SEED),
            'kind=collector, provider=webhook, payload={"id":"101", "name":"env-sensor", "temp":"25.6", "hum":"52.4"}',
        ),
        (reading(payload=b"<!everyone> a & b"), "payload=&lt;!everyone&gt; a &amp; b"),
        (reading(payload=b"\xff\xd8\xff", content_type="image/jpeg"), "payload=(3 bytes of image/jpeg)"),
        (reading(payload=b"\xff" * 5000, content_type=""), "payload=(5,000 bytes of no content type)"),
        (reading(payload=b"a\tb\n\x1b[31m\0" + "\u202e".encode()), "payload=a\tb\n\\x1b[31m\\x00\\u202e"),
        (reading(payload="温度".encode()), "payload=温度"),
    ],
)
def test_slack_gets_the_line_of_the_tutorial(sent: Reading, said: str) -> None:
    assert slack.text(sent).endswith(said)
    assert slack.text(sent).startswith("kind=collector, provider=webhook, payload=")


def test_a_text_that_is_too_long_for_slack_is_cut_with_a_mark() -> None:
    for extra in range(5):  # the cut falls on each place of an entity
        cut = slack.text(reading(payload=b"x" * extra + b"&" * 100_000))
        assert len(cut) <= slack.MOST_CHARACTERS
        kept, mark, rest = cut.partition(" ... (cut, ")
        assert (kept[-5:], mark, rest) == ("&amp;", " ... (cut, ", f"{500_042 + extra:,} characters in all)")
    assert len(slack.text(reading(payload=b"x" * (slack.MOST_CHARACTERS - 42)))) == slack.MOST_CHARACTERS


def test_a_webhooks_headers_say_all_but_the_payload() -> None:
    sent = reading(7, collector="mqtt", metadata='{"topic":"台所"}')

    assert webhook.headers(sent) == {
        "Content-Type": "application/json",
        "Idempotency-Key": "00000000000000000000000000000007",
        "X-Fieldpipe-Collector": "mqtt",
        "X-Fieldpipe-Device": "%E5%8F%B0%E6%89%80",
        "X-Fieldpipe-Received": str(START + 7_000_000),
        "X-Fieldpipe-Metadata": '{"topic": "\\u53f0\\u6240"}',
    }


@pytest.mark.parametrize("hostile", ["a\r\nX-Evil: 1", "a\0b", "\ud800", "100%", "é"])
def test_no_reading_can_write_a_header_of_its_own(hostile: str) -> None:
    sent = reading(collector=hostile, content_type=hostile, metadata=json.dumps({"device": hostile}))

    values = webhook.headers(sent)

    assert values["Content-Type"] == "application/octet-stream"
    assert all(value.isascii() and value.isprintable() for value in values.values())


def test_a_websocket_server_gets_the_payload_or_everything() -> None:
    assert websocket.message(reading(payload=SEED), "payload") == SEED.decode()
    assert websocket.message(reading(payload=b"\xff\x00"), "payload") == b"\xff\x00"
    assert json.loads(websocket.message(reading(7, b'{"temp":25.60}'), "reading")) == {
        "id": "00000000000000000000000000000007",
        "received": "2025-11-22T15:40:00.130456789Z",
        "collector": "webhook",
        "device": "",
        "content_type": "application/json",
        "payload": {"temp": 25.6},
    }


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"KRAKENB_SLACK_URL": "hooks.slack.com/services/secret"}, "KRAKENB_SLACK_URL"),
        ({"KRAKENB_SLACK_URL": "https://hooks.slack.com/se\ncret"}, "KRAKENB_SLACK_URL"),
        ({"KRAKENB_WEBHOOK_URL": "ftp://example.org/secret"}, "KRAKENB_WEBHOOK_URL"),
        ({"KRAKENB_WEBHOOK_URL": "https://me:secret@example.org"}, "KRAKENB_WEBHOOK_TOKEN"),
        ({"KRAKENB_WEBSOCKET_URL": "https://example.org/secret"}, "KRAKENB_WEBSOCKET_URL"),
        ({"KRAKENB_WEBSOCKET_URL": "ws://a", "KRAKENB_WEBSOCKET_MESSAGE": "all"}, "KRAKENB_WEBSOCKET_MESSAGE"),
        ({"KRAKENB_BUCKET": "raw-data"}, "MINIO_ENDPOINT"),
        ({"KRAKENB_BUCKET": "Raw_Data"}, "KRAKENB_BUCKET"),
        ({"KRAKENB_BUCKET": "raw-data", "KRAKENB_BUCKET_PREFIX": "../x"}, "KRAKENB_BUCKET_PREFIX"),
        ({"KRAKENB_BUCKET": "raw-data", "KRAKENB_BUCKET_READINGS": "0"}, "KRAKENB_BUCKET_READINGS"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(
    environment: dict[str, str], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=complaint) as raised:
        registry.open_sinks(environment)

    assert "secret" not in str(raised.value)


def test_how_long_a_server_asks_us_to_wait() -> None:
    assert retry_after({"retry-AFTER": " 30 "}) == 30
    assert retry_after({"Retry-After": formatdate(time() + 60, usegmt=True)}) == pytest.approx(60, abs=2)
    assert retry_after({"Retry-After": formatdate(time() - 60, usegmt=True)}) == 0
    assert [retry_after({"Retry-After": text}) for text in ("soon", "-1", "inf", "")] == [None] * 4
    assert retry_after({}) is None
