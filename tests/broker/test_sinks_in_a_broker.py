"""Whole ways: an unchanged collector sends over gRPC, a stand-in on loopback gets it as its server would."""

import json
import time
from pathlib import Path

from pydantic import SecretStr

from fieldpipe.broker.sinks import slack, webhook
from tests.broker.broker_process import BrokerProcess
from tests.broker.brokers import running
from tests.broker.collectors import PROCESS, SEND, call, request_v1, request_v2, status_v1
from tests.broker.stand_ins import Answer, HttpServer, http_server
from tests.waiting import eventually

SEED = '{"id":"101", "name":"env-sensor", "temp":"25.6", "hum":"52.4"}'


def slack_to(server: HttpServer) -> slack.SlackSink:
    return slack.SlackSink(slack.SlackSettings(url=SecretStr(server.url)))


def webhook_to(server: HttpServer) -> webhook.WebhookSink:
    return webhook.WebhookSink(webhook.WebhookSettings(url=SecretStr(server.url)), seconds=1)


def test_a_collector_of_the_tutorials_time_makes_the_tutorials_message(tmp_path: Path) -> None:
    with http_server() as server, running(tmp_path, [slack_to(server)]) as broker, broker.channel() as channel:
        assert status_v1(call(channel, SEND, request_v1("collector", "webhook", SEED))) == 1
        eventually(lambda: server.requests)

    assert [json.loads(body)["text"] for body in server.bodies] == [
        f"kind=collector, provider=webhook, payload={SEED}",
    ]


def test_what_slack_has_no_time_for_comes_when_it_asked_for_it_and_in_order(tmp_path: Path) -> None:
    with http_server(Answer(429, b"rate_limited", {"Retry-After": "1"})) as server:
        begin = time.monotonic()
        with running(tmp_path, [slack_to(server)]) as broker, broker.channel() as channel:
            for number in range(3):
                call(channel, PROCESS, request_v2("serial", "text/plain", "", str(number).encode()))
            eventually(lambda: len(server.requests) == 4)
        assert time.monotonic() - begin > 1

    assert [json.loads(body)["text"][-1] for body in server.bodies] == ["0", "0", "1", "2"]


def test_a_webhook_that_refuses_hangs_and_cuts_gets_the_others_in_order_each_with_its_key(tmp_path: Path) -> None:
    answers = (Answer(422, b"no"), Answer(hang=True), Answer(503), Answer(cut=True))
    with (
        http_server(*answers) as server,
        running(tmp_path, [webhook_to(server)]) as broker,
        broker.channel() as channel,
    ):
        for number in range(3):
            call(channel, PROCESS, request_v2("serial", "text/plain", "", str(number).encode()))
        eventually(lambda: broker.metrics()['broker_delivered_total{sink="webhook"}'] == 2, 20)
        metrics = broker.metrics()

    assert server.bodies == [b"0", b"1", b"1", b"1", b"1", b"2"]
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert len({*keys}) == 3
    assert len({*keys[1:5]}) == 1
    assert (metrics['broker_dead{sink="webhook"}'], metrics['broker_queued{sink="webhook"}']) == (1, 0)


def test_a_changed_file_of_routes_counts_without_a_restart(tmp_path: Path) -> None:
    routes = tmp_path / "routes.yaml"
    routes.write_text("rules: [{to: []}]")
    with http_server() as server:
        broker = BrokerProcess(tmp_path, {"KRAKENB_WEBHOOK_URL": server.url, "KRAKENB_ROUTES": str(routes)})
        try:
            broker.start()
            with broker.channel() as channel:
                call(channel, PROCESS, request_v2("serial", "text/plain", "", b"before"))
                routes.write_text("rules: [{to: [webhook]}]")

                def arrives() -> bool:
                    call(channel, PROCESS, request_v2("serial", "text/plain", "", b"after"))
                    return bool(server.requests)

                eventually(arrives)
        finally:
            broker.child.stop()

    assert set(server.bodies) == {b"after"}
