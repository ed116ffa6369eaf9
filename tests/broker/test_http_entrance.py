"""The HTTP entrance, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from fieldpipe.broker.entrances import http
from fieldpipe.broker.entrances.http import HttpEntrance, HttpSettings
from fieldpipe.broker.entrances.registry import open_entrances
from fieldpipe.broker.reading import Reading
from fieldpipe.broker.spool import SpoolFull
from fieldpipe.errors import ConfigurationError

SEED = b'{"id":"101", "name":"env-sensor", "temp":"25.6", "hum":"52.4"}'


class Taken:
    """What takes readings; `error` is raised instead."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.error: Exception | None = None
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def take(self, reading: Reading) -> None:
        self.asked.set()
        await self.go.wait()
        if self.error:
            raise self.error
        self.readings.append(reading)


Use = Callable[[HttpEntrance, httpx.AsyncClient, Taken], Awaitable[Any]]


def use(test: Use, **settings: Any) -> Any:
    """What `test` returns, which is given an entrance that listens, a client of it, and what it took."""

    async def run() -> Any:
        taken = Taken()
        entrance = HttpEntrance(taken.take, HttpSettings(**{"path": "webhook", "port": 0, **settings}))
        await entrance.start()
        try:
            async with httpx.AsyncClient(base_url=entrance.address, timeout=10) as client:
                return await test(entrance, client, taken)
        finally:
            await entrance.stop()

    return asyncio.run(run())


def post(body: bytes, path: str = "/webhook", headers: dict[str, str] | None = None, **settings: Any) -> Any:
    """Status, answer and the readings that were taken."""

    async def once(_: HttpEntrance, client: httpx.AsyncClient, taken: Taken) -> Any:
        answer = await client.post(path, content=body, headers=headers)
        return answer.status_code, answer.json() if answer.status_code != 404 else answer.text, taken.readings

    return use(once, **settings)


@pytest.mark.parametrize("path", ["webhook", "/webhook", "/webhook/"])
def test_json_is_a_reading_as_it_was_sent(path: str) -> None:
    status, answer, (reading,) = post(SEED, path=f"/{path.strip('/')}")

    assert (status, answer) == (200, {"status": "POST_OK"})
    assert (reading.collector, reading.content_type, dict(reading.metadata)) == ("webhook", "application/json", {})
    assert (reading.kind, reading.generation, reading.payload) == ("collector", 2, SEED)


@pytest.mark.parametrize("configured", ["site/in", "/site/in", "site/in/"])
def test_the_path_is_the_one_that_was_set(configured: str) -> None:
    async def both(_: HttpEntrance, client: httpx.AsyncClient, taken: Taken) -> list[int]:
        return [
            (await client.post(path, content=b"{}")).status_code for path in ("/site/in", "/webhook", "/site/in?a=1")
        ]

    assert use(both, path=configured) == [200, 404, 200]


def test_anything_else_is_not_found_but_the_root_says_ok() -> None:
    async def others(_: HttpEntrance, client: httpx.AsyncClient, taken: Taken) -> Any:
        asked = [("GET", "/"), ("GET", "/webhook"), ("PUT", "/webhook"), ("POST", "/"), ("GET", "/a/b")]
        answers = [await client.request(method, path) for method, path in asked]
        return [(answer.status_code, answer.text) for answer in answers], taken.readings

    assert use(others) == ([(200, "OK"), *[(404, "Not Found")] * 4], [])


@pytest.mark.parametrize("body", [b"", b"{", b"no JSON", b"\xff", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_the_senders_mistake(body: bytes) -> None:
    status, answer, readings = post(body)

    assert (status, readings) == (400, [])
    assert answer["error"].startswith("the payload is no JSON")


@pytest.mark.parametrize(
    ("body", "headers"), [(b'"' + b"a" * 2000 + b'"', {}), (gzip.compress(b'"' * 5000), {"Content-Encoding": "gzip"})]
)
def test_what_is_too_large_is_refused(body: bytes, headers: dict[str, str]) -> None:
    assert post(body, headers=headers, max_bytes=1024) == (413, {"error": "the body is larger than 1,024 bytes"}, [])


def test_when_there_is_no_room_the_sender_is_told_to_try_again() -> None:
    async def full(_: HttpEntrance, client: httpx.AsyncClient, taken: Taken) -> Any:
        taken.error = SpoolFull("no room")
        refused = await client.post("/webhook", content=SEED)
        taken.error = None
        return (
            refused.status_code,
            refused.headers["Retry-After"],
            (await client.post("/webhook", content=SEED)).status_code,
        )

    assert use(full) == (503, "5", 200)


@pytest.mark.parametrize(
    ("shown", "status"), [(None, 401), ("Bearer wrong", 401), ("Bearer gehéim", 401), ("Bearer t0ken", 200)]
)
def test_with_a_token_only_who_shows_it_may_send(shown: str | None, status: int) -> None:
    headers = {"Authorization": shown.encode()} if shown else {}

    assert post(SEED, headers=headers, token="t0ken")[0] == status  # type: ignore[arg-type]


def test_many_at_once_do_not_wait_for_one_another() -> None:
    async def many(_: HttpEntrance, client: httpx.AsyncClient, taken: Taken) -> Any:
        taken.go.clear()
        first = asyncio.create_task(client.post("/webhook", content=b"1"))
        await taken.asked.wait()
        root = (await client.get("/")).text
        others = [asyncio.create_task(client.post("/webhook", content=b"2")) for _ in range(20)]
        taken.go.set()
        answers = await asyncio.gather(first, *others)
        return root, {answer.status_code for answer in answers}, len(taken.readings)

    assert use(many) == ("OK", {200}, 21)


def test_what_is_under_way_at_the_end_is_answered() -> None:
    async def ending(entrance: HttpEntrance, client: httpx.AsyncClient, taken: Taken) -> Any:
        taken.go.clear()
        under_way = asyncio.create_task(client.post("/webhook", content=SEED))
        await taken.asked.wait()
        stopping = asyncio.create_task(entrance.stop())
        await asyncio.sleep(0)
        taken.go.set()
        await stopping
        return (await under_way).status_code, len(taken.readings)

    assert use(ending) == (200, 1)


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_SECONDS", 0.1)

    async def slow(entrance: HttpEntrance, _: httpx.AsyncClient, taken: Taken) -> Any:
        host, port = entrance.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        answer = await reader.readline()
        writer.close()
        return answer, taken.readings

    assert use(slow) == (b"HTTP/1.1 408 Request Timeout\r\n", [])


def test_it_listens_on_loopback_and_a_port_that_is_taken_is_told() -> None:
    async def nothing(entrance: HttpEntrance, *_: Any) -> str:
        return entrance.address

    assert use(nothing).startswith("http://127.0.0.1:")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="KRKNC_WEBHOOK_HOST, _PORT: cannot listen"):
            use(nothing, port=taken.getsockname()[1])


def test_it_is_on_when_its_path_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRKNC_WEBHOOK_PATH", "webhook")
    monkeypatch.setenv("KRKNC_WEBHOOK_PORT", "3000")

    async def open_both() -> tuple[int, list[str]]:
        taken = Taken().take
        off = open_entrances({"KRKNC_WEBHOOK_PATH": ""}, taken)
        on = open_entrances({"KRKNC_WEBHOOK_PATH": "webhook"}, taken)
        return len(off), [type(entrance).__name__ for entrance in on]

    assert asyncio.run(open_both()) == (0, ["HttpEntrance"])
    monkeypatch.setenv("KRKNC_WEBHOOK_PORT", "http")
    with pytest.raises(ConfigurationError, match="KRKNC_WEBHOOK_PORT"):
        asyncio.run(open_both())
