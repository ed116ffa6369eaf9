"""A wire that a test may cut: between a client and a server on loopback, the answer to one request is lost."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Wire:
    """`lose(marker)`: the next request with these bytes in it reaches the server, its answer never the client.

    The connection is cut instead, or with `hang` nothing happens any more.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._marker: bytes | None = None
        self._hang = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lost = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def clients(self) -> int:
        """Connections that clients have now."""
        return len(self._open)

    def lose(self, marker: bytes, *, hang: bool = False) -> None:
        """The answer to the next request that has the marker in it."""
        self._lost.clear()
        self._hang, self._marker = hang, marker

    def was_answered(self) -> bool:
        """Whether the server has answered that request: it is done, and the client does not know."""
        return self._lost.wait(10)

    def close(self) -> None:
        """And every connection."""
        self._listener.close()
        for client in list(self._open):
            _end(client)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        unanswered = threading.Event()
        try:
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                threading.Thread(target=self._back, args=(server, client, unanswered), daemon=True).start()
                seen, marker = b"", None
                while data := client.recv(65536):
                    if marker is not self._marker:  # what was said before does not count
                        seen, marker = b"", self._marker
                    seen = (seen + data)[-131072:]
                    if self._marker is not None and self._marker in seen:
                        self._marker = None
                        unanswered.set()
                    server.sendall(data)
        except OSError:
            pass
        finally:
            self._open.discard(client)
            _end(client)

    def _back(self, server: socket.socket, client: socket.socket, unanswered: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if not unanswered.is_set():
                    client.sendall(data)
                    continue
                self._lost.set()
                if not self._hang:
                    break
        if not (unanswered.is_set() and self._hang):
            _end(client)


@contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    """A wire, while it lies there."""
    wire = Wire(port)
    try:
        yield wire
    finally:
        wire.close()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
