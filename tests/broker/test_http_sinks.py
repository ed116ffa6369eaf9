"""The sinks slack and webhook, against stand-ins on loopback that answer as their servers do, and worse."""

import json
import logging
import time

import pytest
from pydantic import SecretStr

from fieldpipe.broker.sinks import slack, webhook
from fieldpipe.broker.sinks.sink import Sink, SinkRefused, SinkUnavailable
from tests.broker.stand_ins import Answer, HttpServer, http_server
from tests.unit.broker.readings import reading

SEED = b'{"id":"101", "name":"env-sensor", "temp":"25.6", "hum":"52.4"}'


def sink_of(kind: str, server: HttpServer, seconds: int = 5) -> Sink:
    url = SecretStr(server.url)
    if kind == "slack":
        return slack.SlackSink(slack.SlackSettings(url=url), seconds)
    return webhook.WebhookSink(webhook.WebhookSettings(url=url, token=SecretStr("a-token")), seconds)


both = pytest.mark.parametrize("kind", ["slack", "webhook"])


def test_slack_is_sent_what_the_tutorial_shows() -> None:
    with http_server() as server:
        sink_of("slack", server).deliver([reading(payload=SEED)])

    (request,) = server.requests
    assert request.headers["Content-Type"].startswith("application/json")
    assert json.loads(request.body) == {
        "channel": "random",
        "username": "KrakenBroker",
        "text": "kind=collector, provider=webhook, "
        'payload={"id":"101", "name":"env-sensor", "temp":"25.6", "hum":"52.4"}',
    }


def test_a_webhook_is_sent_the_payload_as_it_came_over_one_connection() -> None:
    with http_server(Answer(204, b""), Answer(201, b"x" * 100_000)) as server:
        sink = sink_of("webhook", server)
        sink.deliver([reading(1, SEED), reading(2, b"\0\xff", content_type="image/x-raw")])
        sink.deliver([reading(3, b"")])
        sink.close()

    assert server.bodies == [SEED, b"\0\xff", b""]
    assert [request.headers["Idempotency-Key"][-1] for request in server.requests] == ["1", "2", "3"]
    assert server.requests[1].headers["Content-Type"] == "image/x-raw"
    assert {request.headers["Authorization"] for request in server.requests} == {"Bearer a-token"}
    first, second, third = (request.connection for request in server.requests)
    assert first == second != third  # the long answer was not read to its end


@both
def test_a_server_that_has_enough_says_how_long_to_wait(kind: str) -> None:
    with http_server(Answer(429, b"rate_limited", {"Retry-After": "30"})) as server:
        sink = sink_of(kind, server)
        with pytest.raises(SinkUnavailable, match="429: rate_limited") as raised:
            sink.deliver([reading()])
        sink.deliver([reading()])

    assert raised.value.retry_after == 30
    assert len(server.requests) == 2


@both
@pytest.mark.parametrize(("status", "body"), [(400, b"invalid_payload"), (413, b"too much")])
def test_what_will_never_be_taken_is_refused(kind: str, status: int, body: bytes) -> None:
    with http_server(Answer(status, body)) as server, pytest.raises(SinkRefused, match=f"{status}: {body.decode()}"):
        sink_of(kind, server).deliver([reading()])


@both
@pytest.mark.parametrize(("status", "body"), [(403, b"action_prohibited"), (404, b"no_service"), (410, b"gone")])
def test_a_wrong_address_is_no_readings_fault_and_says_what_to_set(kind: str, status: int, body: bytes) -> None:
    with (
        http_server(Answer(status, body)) as server,
        pytest.raises(SinkUnavailable, match=f"{body.decode()} .*set KRAKENB_{kind.upper()}_URL"),
    ):
        sink_of(kind, server).deliver([reading()])


@both
@pytest.mark.parametrize("status", [408, 500, 503])
def test_a_server_in_trouble_is_asked_again_later(kind: str, status: int) -> None:
    with http_server(Answer(status)) as server, pytest.raises(SinkUnavailable, match=str(status)) as raised:
        sink_of(kind, server).deliver([reading()])

    assert raised.value.retry_after is None


def test_a_channel_that_is_nobodys_is_no_readings_fault() -> None:
    with http_server(Answer(400, b"user_not_found")) as server, pytest.raises(SinkUnavailable, match="SLACK_CHANNEL"):
        sink_of("slack", server).deliver([reading()])


def test_a_webhook_that_moved_is_not_followed() -> None:
    with (
        http_server() as other,
        http_server(Answer(307, b"", {"Location": other.url})) as server,
        pytest.raises(SinkUnavailable, match="redirects are not followed"),
    ):
        sink_of("webhook", server).deliver([reading()])

    assert other.requests == []


def test_a_web_page_is_no_answer_of_slack() -> None:
    with http_server(Answer(200, b"<!DOCTYPE html>")) as server, pytest.raises(SinkUnavailable, match="a web page"):
        sink_of("slack", server).deliver([reading()])


@both
def test_a_connection_that_is_cut_after_the_request_is_no_answer_and_nothing_is_sent_twice_by_itself(kind: str) -> None:
    with http_server(Answer(cut=True)) as server, pytest.raises(SinkUnavailable, match="did not answer"):
        sink_of(kind, server).deliver([reading()])

    assert len(server.requests) == 1


@both
def test_a_server_that_hangs_is_not_waited_for_for_ever(kind: str) -> None:
    with http_server(Answer(hang=True)) as server:
        begin = time.monotonic()
        with pytest.raises(SinkUnavailable, match="did not answer"):
            sink_of(kind, server, seconds=1).deliver([reading()])
        assert time.monotonic() - begin < 4


@both
def test_nobody_there(kind: str) -> None:
    with http_server() as server:
        sink = sink_of(kind, server)
    with pytest.raises(SinkUnavailable, match="did not answer"):
        sink.deliver([reading()])


def test_slack_keeps_its_url_out_of_logs_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with http_server(Answer(404, b"no_service"), Answer(cut=True)) as server:
        sink = sink_of("slack", server)
        for _ in range(2):
            with pytest.raises(SinkUnavailable) as raised:
                sink.deliver([reading()])
            assert "secret" not in str(raised.value)

    assert "secret" not in caplog.text
