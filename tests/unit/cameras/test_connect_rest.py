"""What Kafka Connect's answers mean to us, from a server that answers what it is told to."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fieldpipe.cameras.connect import CAST, CONVERTER, EXTRACT, Sink
from fieldpipe.cameras.connect import SINK as SINK_CLASS
from fieldpipe.cameras.connect_checks import check
from fieldpipe.cameras.connect_rest import Connect, ConnectUnavailable
from fieldpipe.cameras.connect_sinks import SinkFailed, await_running, register
from fieldpipe.errors import ConfigurationError, FieldpipeError, PermanentError, TransientError
from fieldpipe.settings import ConnectSettings, KafkaSettings

SINK = Sink("s", "image", ("cam",), "picamera", "http://minio:9000", "${env:A}", "${env:S}")
TRACE = (
    "org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSinkTask\n\tat org.apache...\n"
    "Caused by: org.apache.kafka.connect.errors.DataException: middle\n\t... 10 more\n"
    "Caused by: com.amazonaws.SdkClientException: Unable to execute HTTP request\n\t... 20 more\n"
)

Answers = dict[str, tuple[int, str]]


@pytest.fixture
def answering() -> Iterator[Callable[[Answers], Connect]]:
    """`answering({"GET /": (200, "{...}")})`: a server that gives these answers, 404 to the rest, and its client."""
    servers: list[ThreadingHTTPServer] = []

    def start(answers: Answers) -> Connect:
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, text = answers.get(f"{self.command} {self.path.partition('?')[0]}", (404, "{}"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return Connect(ConnectSettings(url=f"http://127.0.0.1:{server.server_port}/"))

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def said(message: str) -> str:
    return json.dumps({"error_code": 0, "message": message})


def test_a_name_that_somebody_took_meanwhile_is_looked_at_again(answering: Callable[[Answers], Connect]) -> None:
    connect = answering({"POST /connectors": (409, said("Connector s already exists"))})

    with pytest.raises(ConnectUnavailable, match="409: Connector s already exists") as refusal:
        register(connect, SINK)

    assert refusal.value.exit_code == 75


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "Connector configuration is invalid", PermanentError),
        (401, "User cannot access the resource.", ConfigurationError),
        (403, "", ConfigurationError),
        (500, "Request timed out", TransientError),
        (500, "org.apache.kafka.common.config.ConfigException: Could not read /nope", PermanentError),
        (503, "", TransientError),
    ],
)
def test_a_refusal_says_whether_to_try_again(
    answering: Callable[[Answers], Connect], status: int, message: str, kind: type[FieldpipeError]
) -> None:
    connect = answering({"POST /connectors": (status, said(message))})

    with pytest.raises(kind, match=rf"POST /connectors: {status}: {message}"):
        connect.create("s", {})


@pytest.mark.parametrize("answer", [(200, "<html>"), (200, "{}"), (200, "[]"), (200, ""), (302, "")])
def test_another_server_at_that_address_is_told(
    answering: Callable[[Answers], Connect], answer: tuple[int, str]
) -> None:
    connect = answering({"GET /": answer})

    with pytest.raises(ConfigurationError, match="Kafka Connect"):
        connect.version()


def test_nobody_at_that_address_is_a_reason_to_wait() -> None:
    connect = Connect(ConnectSettings(url="http://127.0.0.1:1"))

    with pytest.raises(ConnectUnavailable, match=r"http://127\.0\.0\.1:1"):
        connect.version()


@pytest.mark.parametrize("url", ["", "kafka-connect:8083", "ftp://kafka-connect", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="CONNECT_URL"):
        Connect(ConnectSettings(url=url))


def test_a_name_with_slashes_is_one_name(answering: Callable[[Answers], Connect]) -> None:
    connect = answering({"GET /connectors/a%2F..%2Fb/config": (200, '{"name": "a/../b", "topics": "t"}')})

    assert connect.configuration("a/../b") == {"topics": "t"}
    assert connect.configuration("b") is None


def test_a_failure_is_told_with_the_cause_at_its_root(answering: Callable[[Answers], Connect]) -> None:
    state = {
        "name": "s",
        "connector": {"state": "RUNNING", "worker_id": "w:8083"},
        "tasks": [{"id": 0, "state": "FAILED", "worker_id": "w:8083", "trace": TRACE}],
    }
    connect = answering({"GET /connectors/s/status": (200, json.dumps(state))})

    with pytest.raises(SinkFailed, match=r"connector s failed: task 0: com\.amazonaws\.SdkClientException: Unable"):
        await_running(connect, "s", 0)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"connector": {"state": "RUNNING", "worker_id": "w"}, "tasks": []}, "s RUNNING"),
        ({"connector": {"state": "PAUSED", "worker_id": "w"}, "tasks": []}, "s PAUSED"),
        (None, "no state yet"),
    ],
)
def test_a_sink_that_does_not_come_up_is_not_waited_for_for_ever(
    answering: Callable[[Answers], Connect], state: object, said: str
) -> None:
    connect = answering({"GET /connectors/s/status": (200, json.dumps(state))} if state else {})

    with pytest.raises(ConnectUnavailable, match=f"does not run after 0 s: {said}"):
        await_running(connect, "s", 0)


def test_plug_ins_that_are_missing_are_named_with_their_class(answering: Callable[[Answers], Connect]) -> None:
    installed = [{"class": SINK_CLASS, "type": "sink", "version": "10.5.17"}, {"class": CAST, "type": "transformation"}]
    connect = answering(
        {
            "GET /": (200, '{"version": "3.7.0"}'),
            "GET /connector-plugins": (200, json.dumps(installed)),
            f"PUT /connector-plugins/{SINK_CLASS}/config/validate": (400, said("no")),
        }
    )

    found = [(finding.verdict, finding.text) for finding in check(connect, [SINK], None, KafkaSettings(brokers=""))]

    assert found[1:5] == [
        ("ok", "plug-in S3SinkConnector 10.5.17"),
        ("wrong", f"plug-in SinetStreamConverter is not installed: the worker's plugin.path lacks {CONVERTER}"),
        ("wrong", f"plug-in ExtractField is not installed: the worker's plugin.path lacks {EXTRACT}"),
        ("ok", "plug-in ByteArrayCast"),
    ]
    assert [verdict for verdict, _ in found[5:]] == ["wrong", "ok", "unknown", "unknown"]
