"""A stub of MongoDB, which cannot be had here: hello and insert in its wire protocol, documents in memory.

Messages: OP_MSG, and for a first hello OP_QUERY (MongoDB's documentation, "MongoDB Wire Protocol").
"""

import socketserver
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from socket import SHUT_RDWR, socket
from typing import Any

import bson

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
HELLO = {
    "helloOk": True,
    "ismaster": True,
    "isWritablePrimary": True,
    "maxBsonObjectSize": 16 * 1024 * 1024,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "readOnly": False,
    "ok": 1.0,
}
Document = Mapping[str, Any]


class MongodbStub:
    """`documents`: as they were inserted. `refusals`: answers to the next inserts, which then do nothing."""

    def __init__(self) -> None:
        self.documents: dict[Any, Document] = {}
        self.refusals: list[Document] = []
        self.commands: list[Document] = []
        self.users_only = False  # and nobody is one
        self._port = 0
        self._connections: set[socket] = set()
        self.start()

    @property
    def port(self) -> int:
        return self._port

    def start(self) -> None:
        """Again on the same port, with what it had."""
        stub = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                stub._connections.add(self.request)
                with suppress(OSError, struct.error):
                    while True:
                        self.request.sendall(stub._answer(*_message(self.request)))

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)
        self._connections.clear()

    def _answer(self, request: int, operation: int, body: bytes) -> bytes:
        if operation == OP_QUERY:
            reply = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(HELLO)
            return struct.pack("<iiii", 16 + len(reply), 0, request, OP_REPLY) + reply
        command, documents = _command(body)
        reply = struct.pack("<iB", 0, 0) + bson.encode(self._run(command, documents))
        return struct.pack("<iiii", 16 + len(reply), 0, request, OP_MSG) + reply

    def _run(self, command: Document, documents: list[Document]) -> Document:
        name = next(iter(command))
        if name in ("hello", "ismaster", "isMaster"):
            return HELLO
        if name.startswith("sasl") and self.users_only:
            return {"ok": 0.0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": "Authentication failed."}
        if name != "insert":
            return {"ok": 1.0}
        self.commands.append(command)
        return self.refusals.pop(0) if self.refusals else self._insert(documents, ordered=command["ordered"])

    def _insert(self, documents: list[Document], *, ordered: bool) -> Document:
        errors = []
        for index, document in enumerate(documents):
            if document["_id"] in self.documents:
                errors.append(_duplicate(index, document["_id"]))
                if ordered:
                    break
            else:
                self.documents[document["_id"]] = document
        return {"ok": 1.0, "n": len(documents) - len(errors)} | ({"writeErrors": errors} if errors else {})


def _duplicate(index: int, key: object) -> Document:
    said = f'E11000 duplicate key error collection: kraken.readings index: _id_ dup key: {{ _id: "{key}" }}'
    return {"index": index, "code": 11000, "errmsg": said, "keyPattern": {"_id": 1}, "keyValue": {"_id": key}}


def _message(connection: socket) -> tuple[int, int, bytes]:
    length, request, _, operation = struct.unpack("<iiii", _exactly(connection, 16))
    return request, operation, _exactly(connection, length - 16)


def _exactly(connection: socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        parts += (more := connection.recv(count - len(parts)))
        if not more:
            raise ConnectionError
    return bytes(parts)


def _command(body: bytes) -> tuple[Document, list[Document]]:
    command: Document = {}
    documents: list[Document] = []
    for kind, content in _sections(body):
        if kind == 0:
            command = bson.decode(content)
        else:
            documents += bson.decode_all(content[content.index(0) + 1 :])  # behind the name: documents
    return command, documents


def _sections(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 4  # behind the flags
    while at < len(body):
        kind = body[at]
        (length,) = struct.unpack_from("<i", body, at + 1)
        yield kind, body[at + 1 : at + 1 + length] if kind == 0 else body[at + 5 : at + 1 + length]
        at += 1 + length
