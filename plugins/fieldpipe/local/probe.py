"""Small HTTP questions to servers on this machine, past any proxy that the environment names."""

import http.client
import json
from typing import Any

HOST = "127.0.0.1"
SECONDS = 10.0


def get(port: int, path: str, *, seconds: float = SECONDS) -> Any | None:
    """The JSON that `GET path` answers with 200; None for any other answer, or none."""
    return _ask(port, "GET", path, seconds)


def _ask(port: int, method: str, path: str, seconds: float) -> Any | None:
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        content = response.read()
        return json.loads(content) if response.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
