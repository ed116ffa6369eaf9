"""A stub of InfluxDB 2, which cannot be had here: its door /api/v2/write, for one token, organization and bucket.

It reads line protocol as InfluxDB documents it, keeps the points of a series by their time, and refuses a value of
another type than the field's first, as InfluxDB does: what else is in the request is written.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "a-token-of-the-stub"
ORG = "field"
BUCKET = "readings"

Fields = dict[str, str | float | bool]

_KEY = r"(?:\\[ ,=]|[^\\ ,=])+"
_TEXT = r"\"(?:\\.|[^\"\\])*\""
_LINE = re.compile(
    rf"(?P<series>{_KEY}(?:,{_KEY}={_KEY})*) (?P<fields>{_KEY}=(?:{_TEXT}|[^\", ]+)(?:,{_KEY}=(?:{_TEXT}|[^\", ]+))*)"
    r" (?P<time>-?\d+)(?:\n|$)",
    re.DOTALL,
)
_FIELD = re.compile(rf"(?P<name>{_KEY})=(?:(?P<text>{_TEXT})|(?P<bare>[^\", ]+))(?:,|$)", re.DOTALL)


class Influxdb2Stub:
    """`points`: by series and time their fields."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, int], Fields] = {}
        self._types: dict[tuple[str, str], type] = {}
        self._port = 0
        self._connections: set[socket] = set()
        self.start()

    @property
    def port(self) -> int:
        return self._port

    def start(self) -> None:
        """Again on the same port."""
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                stub._connections.add(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, answer = stub._answer(self.path, self.headers["Authorization"], body)
                content = json.dumps(answer).encode() if answer else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)
        self._connections.clear()

    def _answer(self, path: str, authorization: str, body: str) -> tuple[int, Mapping[str, str] | None]:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        if authorization != f"Token {TOKEN}":
            return 401, {"code": "unauthorized", "message": "unauthorized access"}
        if urlsplit(path).path != "/api/v2/write" or (asked["org"], asked["bucket"]) != (ORG, BUCKET):
            return 404, {"code": "not found", "message": f'bucket "{asked.get("bucket")}" not found'}
        assert asked["precision"] == "ns"
        try:
            points = list(read_lines(body))
        except ValueError as error:
            return 400, {"code": "invalid", "message": str(error)}
        conflicts = [complaint for point in points if (complaint := self._write(*point))]
        if conflicts:
            return 422, {"code": "unprocessable entity", "message": conflicts[0]}
        return 204, None

    def _write(self, series: str, fields: Fields, time: int) -> str | None:
        for name, value in fields.items():
            first = self._types.setdefault((series.partition(",")[0], name), type(value))
            if first is not type(value):
                return f"failure writing points to database: partial write: field type conflict: {name}"
        self.points.setdefault((series, time), {}).update(fields)
        return None


def read_lines(body: str) -> Iterator[tuple[str, Fields, int]]:
    """Series, fields and time of each line. Raises ValueError."""
    found = list(_LINE.finditer(body))
    if "".join(line[0] for line in found) != body:
        raise ValueError(f"unable to parse {body!r}")
    for line in found:
        fields = {_plain(field["name"]): _value(field) for field in _FIELD.finditer(line["fields"])}
        yield line["series"], fields, int(line["time"])


def _plain(name: str) -> str:
    return re.sub(r"\\([ ,=])", r"\1", name)


def _value(field: re.Match[str]) -> str | float | bool:
    if field["text"] is not None:
        return re.sub(r'\\(["\\])', r"\1", field["text"][1:-1])
    return field["bare"] == "true" if field["bare"] in ("true", "false") else float(field["bare"].removesuffix("i"))
