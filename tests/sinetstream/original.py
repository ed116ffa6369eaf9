"""The real SINETStream, in an environment of its own: writes and reads what a test says."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.environments import CACHE, PROJECT, prepare

Parameters = dict[str, Any]
Sent = list[tuple[bytes, int]]  # payloads, and their times in microseconds since 1970


class Original:
    """A process with SINETStream in it, connected to brokers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def write(self, topic: str, messages: Sent, parameters: Parameters) -> None:
        """Publish messages; they are acknowledged when this returns."""
        encoded = [(b64encode(payload).decode(), time) for payload, time in messages]
        self._ask({"do": "write", "topic": topic, "messages": encoded, "parameters": parameters})

    def read(self, topic: str, count: int, parameters: Parameters) -> Sent:
        """The first messages of a topic."""
        answer = self._ask({"do": "read", "topic": topic, "count": count, "parameters": parameters})
        return [(b64decode(payload), time) for payload, time in answer]

    def _ask(self, job: dict[str, Any]) -> list[Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "SINETStream has ended: what it said is in the test's output"
        answer = json.loads(line)
        assert isinstance(answer, list)
        return answer


@contextmanager
def original(brokers: str) -> Iterator[Original]:
    """Start it, and end it in any case. The first time its environment is made."""
    python = prepare(PROJECT / "requirements" / "sinetstream.txt", CACHE / "sinetstream") / "python"
    command = [str(python), str(Path(__file__).parent / "driver.py"), brokers]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Original(process)
        finally:
            process.kill()
