"""The demo of the broker: a reading by HTTP, as a site sends it; its text in Slack, its row in a table.

The broker is the real one, with the bucket of the stack; Slack is a stand-in here, which answers as Slack does.
"""

import contextlib
import http.client
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar
from uuid import uuid4

from fieldpipe.errors import TransientError
from fieldpipe.local import probe
from fieldpipe.local.demo import Converted, Say, follow
from fieldpipe.local.ports import free_port
from fieldpipe.local.process import Child, Command, base_environment, failed
from fieldpipe.local.services import RAW_BUCKET
from fieldpipe.local.trail import Trail

PORT = 3000  # of the first document's tutorial, as the path and the reading are
PATH = "webhook"
READING = '{"id":"101", "name":"env-sensor", "temp":"25.6", "hum":"52.4"}'
PATIENCE_SECONDS = 60.0  # for each step; on an idle machine each takes one or two
_POLL_SECONDS = 0.05

Found = TypeVar("Found")


@dataclass(frozen=True)
class Carried:
    """What became of the reading. `message` is what Slack got: channel, username, text."""

    url: str
    sent: datetime
    message: Mapping[str, str]
    told: datetime  # when Slack got it
    recorded: datetime  # when its recording was in the bucket
    converted: Converted


def carry(trail: Trail, broker: Command, log: Path, spool: Path, say: Say) -> Carried:
    """Start the broker (its command comes with the variables of the stack), send it the reading, and follow that.

    Raises TransientError when it takes too long or a part does not answer.
    """
    prefix = f"demo-broker/{uuid4().hex[:12]}"
    with _slack() as (slack, messages), _running(broker, _sinks(slack, prefix, spool), log) as port:
        where = f"http://localhost:{port}/{PATH}"
        say(f"the broker listens at {where}; its sinks are Slack (a stand-in) and the bucket {RAW_BUCKET}")
        say(f"curl -X POST -H \"Content-Type: application/json\" -d '{READING}' {where}")
        sent = datetime.now(UTC)
        _post(port)
        say("200: it is on the broker's disk")
        try:
            message = messages.get(timeout=PATIENCE_SECONDS)
        except Empty:
            raise TransientError(f"Slack heard nothing in {PATIENCE_SECONDS:.0f} s: see {log}") from None
        told = datetime.now(UTC)
        say(f"Slack, #{message['channel']}, {message['username']}: {message['text']}")
        found = _awaited(lambda: next(trail.store.list(RAW_BUCKET, f"{prefix}/"), None), "the recording")
        recorded = max(found.modified or told, told)  # the store says whole seconds
        say(f"its recording is {RAW_BUCKET}/{found.key}")
    converted = follow(trail, found.key, found.etag, recorded, say)
    return Carried(where, sent, message, told, recorded, converted)


def command(project: Path, stack: Mapping[str, str]) -> Command:
    """The broker's, for `carry`; `stack` are the variables that lead to the stack."""
    mark = base_environment(f"demo-broker-{os.getpid()}")
    return Command((sys.executable, "-m", "scripts.serve_broker"), project, mark | dict(stack))


def _sinks(slack: str, prefix: str, spool: Path) -> dict[str, str]:
    return {
        "KRAKENB_SPOOL": str(spool),
        "KRAKENB_GRPC_HOST": f"{probe.HOST}:{free_port(set())}",
        "KRAKENB_METRICS_HOST": "",
        "KRAKENB_SLACK_URL": slack,
        "KRAKENB_BUCKET": RAW_BUCKET,
        "KRAKENB_BUCKET_PREFIX": prefix,
        "KRAKENB_BUCKET_SECONDS": "1",  # else the recording would be made after a minute
    }


@contextlib.contextmanager
def _running(broker: Command, variables: Mapping[str, str], log: Path) -> Iterator[int]:
    """The port of its HTTP entrance, while it runs."""
    port = PORT if _is_free(PORT) else free_port(set())
    entrance = {"KRKNC_WEBHOOK_PATH": PATH, "KRKNC_WEBHOOK_PORT": str(port)}
    child = Child(replace(broker, environment={**broker.environment, **variables, **entrance}), log)
    try:
        _awaited(lambda: _serves(port, child), "the broker")
        yield port
    finally:
        child.stop()


def _serves(port: int, child: Child) -> bool:
    if child.exit_code() is not None:
        raise failed(child, 0)
    return not _is_free(port)


def _is_free(port: int) -> bool:
    """Nobody listens there."""
    connection = http.client.HTTPConnection(probe.HOST, port, timeout=1)
    try:
        connection.connect()
    except OSError:
        return True
    finally:
        connection.close()
    return False


def _post(port: int) -> None:
    connection = http.client.HTTPConnection(probe.HOST, port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("POST", f"/{PATH}", READING, {"Content-Type": "application/json"})
        status = connection.getresponse().status
    except OSError as error:
        raise TransientError(f"the broker did not answer: {error}") from error
    finally:
        connection.close()
    if status != http.client.OK:
        raise TransientError(f"the broker answered {status}")


@contextlib.contextmanager
def _slack() -> Iterator[tuple[str, SimpleQueue[dict[str, str]]]]:
    """A stand-in for Slack's incoming webhooks: its URL, and what it gets."""
    messages: SimpleQueue[dict[str, str]] = SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(http.client.OK)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: it would be among what the demo says."""

    with HTTPServer((probe.HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, name="slack", daemon=True).start()
        try:
            yield f"http://{probe.HOST}:{server.server_port}/services/demo", messages
        finally:
            server.shutdown()


def _awaited(look: Callable[[], Found | None], what: str) -> Found:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TransientError(f"{what} did not come in {PATIENCE_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
    return found
