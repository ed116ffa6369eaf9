"""Small HTTP questions to servers on this machine, past any proxy that the environment names."""

import http.client
import json
from typing import Any

HOST = "127.0.0.1"
SECONDS = 10.0


def get(port: int, path: str, *, token: str | None = None, seconds: float = SECONDS) -> Any | None:
    """The JSON that `GET path` answers with 200; None for any other answer, or none."""
    return _ask(port, "GET", path, None, token, seconds)


def post(port: int, path: str, value: object, *, token: str | None = None, seconds: float = SECONDS) -> Any | None:
    """The JSON that `POST path` answers with 200 or 201; None for any other answer, or none."""
    return _ask(port, "POST", path, json.dumps(value), token, seconds)


def _ask(port: int, method: str, path: str, body: str | None, token: str | None, seconds: float) -> Any | None:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
        return json.loads(content) if response.status in (http.client.OK, http.client.CREATED) else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
