"""A load generator for the webhook: kept connections, ready-made requests, one selector loop.

It shares the cores with what it measures, so everything that can be done before is done before: a request costs it
one send, one receive and two looks at the clock.
"""

import hashlib
import json
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote_plus

SECONDS = 60.0  # without an answer for that long, the load has failed


@dataclass(frozen=True)
class Target:
    """Where requests go. `token` is sent as MinIO sends it."""

    port: int
    path: str = "/minio-event"
    token: str | None = None
    host: str = "127.0.0.1"


@dataclass
class Load:
    """What came of a load: from the first send to the last answer, and each answer's time, in seconds."""

    seconds: float
    latencies: list[float]
    wrong: list[bytes]  # the first bytes of answers other than the expected one

    @property
    def rate(self) -> float:
        """Right answers per second."""
        return (len(self.latencies) - len(self.wrong)) / self.seconds


def event_requests(target: Target, bucket: str, keys: Sequence[str]) -> list[bytes]:
    """One POST per key, as MinIO writes it: headers and body, ready to be sent."""
    return [_request(target, event_body(bucket, key)) for key in keys]


def event_body(bucket: str, key: str) -> bytes:
    """MinIO's notification of a PUT (MinIO's `internal/event`, as sent by RELEASE.2025-09-07)."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    record = {
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": "2026-01-05T10:20:30.123Z",
        "eventName": "s3:ObjectCreated:Put",
        "userIdentity": {"principalId": "minioadmin"},
        "requestParameters": {"principalId": "minioadmin", "region": "", "sourceIPAddress": "127.0.0.1"},
        "responseElements": {
            "x-amz-id-2": "dd9025bab4ad464b049177c95eb6ebf374d3b3fd1af9251148b658df7ac2e3e8",
            "x-amz-request-id": "17E3F8A5C1B2D3E4",
            "x-minio-deployment-id": "6faeded5-5cf3-4133-8a37-07c5d500207c",
            "x-minio-origin-endpoint": "http://127.0.0.1:9000",
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "Config",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "minioadmin"},
                "arn": f"arn:aws:s3:::{bucket}",
            },
            "object": {
                "key": quote_plus(key),
                "size": 1048576,
                "eTag": digest[:32],
                "contentType": "application/octet-stream",
                "userMetadata": {"content-type": "application/octet-stream"},
                "sequencer": digest[32:48].upper(),
            },
        },
        "source": {"host": "127.0.0.1", "port": "", "userAgent": "MinIO (linux; amd64) minio-go/v7.0.95"},
    }
    document = {"EventName": "s3:ObjectCreated:Put", "Key": f"{bucket}/{key}", "Records": [record]}
    return json.dumps(document, separators=(",", ":")).encode()


def send(target: Target, requests: Sequence[bytes], *, connections: int, expect: int = 202) -> Load:
    """Send all requests over so many connections, each with one request at a time. Raises TimeoutError."""
    waiting = iter(requests)
    load = Load(0.0, [], [])
    head = f"HTTP/1.1 {expect} ".encode()
    with selectors.DefaultSelector() as selector:
        open_connections = [_Connection(target) for _ in range(connections)]
        try:
            for connection in open_connections:
                selector.register(connection.wire, selectors.EVENT_READ, connection)
            begin = time.perf_counter()
            busy = sum(connection.next(waiting) for connection in open_connections)
            while busy:
                busy -= _turn(selector, waiting, load, head)
            load.seconds = time.perf_counter() - begin
        finally:
            for connection in open_connections:
                connection.wire.close()
    return load


def _turn(selector: selectors.BaseSelector, waiting: Iterator[bytes], load: Load, head: bytes) -> int:
    """Take the answers that are there, send the next requests; returns how many connections are through."""
    ready = selector.select(SECONDS)
    if not ready:
        raise TimeoutError(f"no answer within {SECONDS} s")
    through = 0
    for key, _ in ready:
        connection: _Connection = key.data
        answer = connection.take()
        if answer is None:
            continue
        load.latencies.append(time.perf_counter() - connection.sent)
        if not answer.startswith(head):
            load.wrong.append(answer[:200])
        through += not connection.next(waiting)
    return through


@dataclass
class _Connection:
    target: Target
    sent: float = 0.0
    _received: bytes = b""
    wire: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.wire = socket.create_connection((self.target.host, self.target.port), timeout=SECONDS)
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def next(self, waiting: Iterator[bytes]) -> bool:
        """Send the next request; False when there is none."""
        request = next(waiting, None)
        if request is None:
            return False
        self.sent = time.perf_counter()
        self.wire.sendall(request)
        return True

    def take(self) -> bytes | None:
        """The whole answer, or None while only a part of it is there. Raises ConnectionError."""
        part = self.wire.recv(65536)
        if not part:
            raise ConnectionError(f"the server closed a connection after {self._received[:200]!r}")
        self._received += part
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _content_length(head):
            return None
        answer, self._received = self._received, b""
        return answer


def _content_length(head: bytes) -> int:
    name = head.lower().find(b"\r\ncontent-length:")
    return int(head[name + 17 :].split(b"\r\n", 1)[0])


def _request(target: Target, body: bytes) -> bytes:
    authorization = f"Authorization: Bearer {target.token}\r\n" if target.token else ""
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
        "User-Agent: MinIO (linux; amd64) minio-go/v7.0.95\r\n"
        f"{authorization}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
