"""The sink websocket, against the server of the library `websockets` and against sockets that misbehave."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Literal
from uuid import UUID

import pytest
from pydantic import SecretStr
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.sync.server import ServerConnection, serve

from fieldpipe.broker.sinks.sink import SinkRefused, SinkUnavailable
from fieldpipe.broker.sinks.websocket import WebsocketSettings, WebsocketSink
from tests.unit.broker.readings import reading
from tests.waiting import eventually

Handler = Callable[[ServerConnection], object]


@contextmanager
def running(
    handler: Handler, process_request: Callable[[ServerConnection, Request], Response | None] | None = None
) -> Iterator[str]:
    """The URL of a server, while it runs."""
    with serve(handler, "127.0.0.1", 0, process_request=process_request) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield url_of(server.socket)
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def misbehaving(script: Callable[[socket.socket], object]) -> Iterator[str]:
    """The URL of a server that opens WebSockets as it should, and then does what the script does with the socket."""

    def serve_all() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    protocol = ServerProtocol()
                    protocol.receive_data(connection.recv(65536))
                    (request,) = protocol.events_received()
                    assert isinstance(request, Request)
                    protocol.send_response(protocol.accept(request))
                    connection.sendall(b"".join(protocol.data_to_send()))
                    script(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_all)
        thread.start()
        try:
            yield url_of(listener)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def url_of(listener: socket.socket) -> str:
    return f"ws://127.0.0.1:{listener.getsockname()[1]}/readings?token=secret"


def close_frame(code: int) -> bytes:
    return Frame(Opcode.CLOSE, Close(code, "for a reason").serialize()).serialize(mask=False)


def wait_for_end(server: socket.socket) -> None:
    while server.recv(65536):
        pass


def sink_to(url: str, message: Literal["payload", "reading"] = "payload", seconds: float = 5) -> WebsocketSink:
    return WebsocketSink(WebsocketSettings(url=SecretStr(url), message=message), seconds)


def test_readings_arrive_in_order_over_one_connection() -> None:
    got: list[tuple[UUID, str | bytes]] = []

    def keep(connection: ServerConnection) -> None:
        got.extend((connection.id, message) for message in connection)

    with running(keep) as url:
        sink = sink_to(url)
        sink.deliver([reading(1, b'{"a":1}')])
        sink.deliver([reading(2, "温度".encode()), reading(3, b"\xff\0")])
        sink.close()
        eventually(lambda: len(got) == 3)

    assert [message for _, message in got] == ['{"a":1}', "温度", b"\xff\0"]
    assert len({connection for connection, _ in got}) == 1


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013])
def test_a_close_instead_of_an_answer_is_no_delivery_and_the_next_connection_gets_the_reading_again(code: int) -> None:
    got: list[bytes] = []

    def close(server: socket.socket) -> None:
        got.append(server.recv(65536))
        server.sendall(close_frame(code))

    with misbehaving(close) as url:
        sink = sink_to(url)
        for _ in range(2):
            with pytest.raises(SinkUnavailable, match=str(code)):
                sink.deliver([reading()])
        sink.close()

    assert len(got) == 2


@pytest.mark.parametrize("code", [1003, 1007, 1009])
def test_a_message_that_the_server_cannot_take_is_refused(code: int) -> None:
    def close(server: socket.socket) -> None:
        server.recv(65536)
        server.sendall(close_frame(code))

    with misbehaving(close) as url, pytest.raises(SinkRefused, match=str(code)):
        sink_to(url).deliver([reading()])


def test_a_message_that_is_larger_than_the_server_takes_is_refused() -> None:
    with running(lambda connection: [*connection]) as url, pytest.raises(SinkRefused, match="1009"):
        sink_to(url).deliver([reading(payload=b"x" * (2 << 20))])


def test_a_server_that_has_closed_meanwhile_gets_the_reading_over_another_connection() -> None:
    got: list[str | bytes] = []
    closed = threading.Event()

    def close_first(connection: ServerConnection) -> None:
        for message in connection:
            got.append(message)
            if len(got) == 1:
                closed.wait()
                return

    with running(close_first) as url:
        sink = sink_to(url)
        sink.deliver([reading(1, b"1")])
        closed.set()
        connection = sink._connection
        assert connection is not None
        eventually(lambda: connection.state is State.CLOSED)
        sink.deliver([reading(2, b"2")])
        sink.close()

    assert got == ["1", "2"]


def test_a_server_that_talks_much_does_not_hold_us_up() -> None:
    def talk(connection: ServerConnection) -> None:
        for message in connection:
            for _ in range(100):
                connection.send(f"echo of {message!r}")

    with running(talk) as url:
        sink = sink_to(url)
        for number in range(5):
            sink.deliver([reading(number)])
        sink.close()


def test_a_server_that_answers_nothing_is_not_waited_for_for_ever() -> None:
    with misbehaving(lambda server: server.recv(1 << 20) and wait_for_end(server)) as url:
        begin = time.monotonic()
        with pytest.raises(SinkUnavailable, match="answered no ping"):
            sink_to(url, seconds=2).deliver([reading()])
        assert time.monotonic() - begin < 30


def test_a_server_that_reads_no_more_is_not_waited_for_for_ever() -> None:
    let_go = threading.Event()
    try:
        with misbehaving(lambda server: let_go.wait(30)) as url:
            begin = time.monotonic()
            with pytest.raises(SinkUnavailable, match="ended before an answer"):
                sink_to(url, seconds=2).deliver([reading(payload=b"x" * (16 << 20))])
            assert time.monotonic() - begin < 25
            let_go.set()
    finally:
        let_go.set()


def test_a_server_that_cuts_the_connection() -> None:
    def cut(server: socket.socket) -> None:
        server.recv(65536)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with misbehaving(cut) as url, pytest.raises(SinkUnavailable, match="ended before an answer"):
        sink_to(url).deliver([reading()])


def test_a_server_that_lets_nobody_in_says_how_long_to_wait() -> None:
    def busy(connection: ServerConnection, request: Request) -> Response:
        answer = connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "full")
        answer.headers["Retry-After"] = "17"
        return answer

    with running(lambda connection: None, busy) as url:
        with pytest.raises(SinkUnavailable, match="503") as raised:
            sink_to(url).deliver([reading()])
        assert raised.value.retry_after == 17

    with pytest.raises(SinkUnavailable, match="no WebSocket") as raised:
        sink_to(url).deliver([reading()])
    assert "secret" not in str(raised.value)
