"""Stand-ins on loopback for servers that cannot be had: Slack, and whatever takes a webhook."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What the server says; `cut` ends the connection instead, `hang` says nothing until the server stops."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    hang: bool = False


@dataclass(frozen=True)
class Request:
    """One that was read to its end."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int  # the client's port


@dataclass
class HttpServer:
    """Gives its answers one after the other, and then 200 for ever."""

    url: str
    answers: list[Answer]
    requests: list[Request]

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.requests]


@contextmanager
def http_server(*answers: Answer) -> Iterator[HttpServer]:
    """A stand-in, while it runs."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append(Request(self.path, dict(self.headers), body, self.client_address[1]))
            answer = found.answers.pop(0) if found.answers else Answer()
            if answer.hang:
                stopped.wait()
            if answer.cut or answer.hang:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def do_GET(self) -> None:
            self.send_error(418)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        found = HttpServer(f"http://127.0.0.1:{server.server_port}/services/T0/B0/secret", [*answers], [])
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield found
        finally:
            stopped.set()
            server.shutdown()
