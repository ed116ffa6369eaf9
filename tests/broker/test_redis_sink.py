"""The sink of Redis, with a real one: what an entry is, and what a server may say."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr
from redis import Redis

from fieldpipe.broker.sinks import redis
from fieldpipe.broker.sinks.sink import SinkUnavailable
from tests.broker.database_servers import PASSWORD, USER, RunningRedis, start_redis
from tests.unit.broker.readings import START, reading


@pytest.fixture
def client(redis_server: RunningRedis) -> Iterator[Redis]:
    """Somebody else's connection."""
    with redis_server.client() as found:
        yield found


def sink_of(server: RunningRedis, key: str, **options: object) -> redis.RedisSink:
    account = {"user": USER, "password": SecretStr(PASSWORD)} | options
    return redis.RedisSink(redis.RedisSettings(host="127.0.0.1", port=server.port, key=key, **account))


@pytest.fixture
def key() -> str:
    return f"readings-{uuid4().hex}"


def test_an_entry_of_the_stream_has_the_payload_as_it_came(redis_server: RunningRedis, client: Redis, key: str) -> None:
    sink_of(redis_server, key).deliver([reading(7, b'{"temp":25.60}', collector="mqtt", metadata='{"topic":"hall"}')])

    ((_, fields),) = client.xrange(key)
    assert fields == {
        "id": f"{7:032x}",
        "received": str(START + 7_000_000),
        "collector": "mqtt",
        "device": "hall",
        "content_type": "application/json",
        "metadata": '{"topic": "hall"}',
        "payload": '{"temp":25.60}',
    }


def test_bytes_stay_bytes(redis_server: RunningRedis, key: str) -> None:
    sink_of(redis_server, key).deliver([reading(payload=bytes(range(256)))])

    with Redis(host="127.0.0.1", port=redis_server.port, username=USER, password=PASSWORD) as raw:
        ((_, fields),) = raw.xrange(key)
    assert fields[b"payload"] == bytes(range(256))


def test_an_item_of_the_list_is_one_json_object(redis_server: RunningRedis, client: Redis, key: str) -> None:
    sink_of(redis_server, key, mode="list").deliver([reading(7), reading(8, b"hello")])

    first, second = (json.loads(item) for item in client.lrange(key, 0, -1))
    assert (first["id"], first["payload"]) == (f"{7:032x}", {"temp": 25.6})
    assert second["text"] == "hello"


@pytest.mark.parametrize("mode", ["stream", "list"])
def test_a_consumer_that_takes_readings_away_does_not_get_them_twice(
    redis_server: RunningRedis, client: Redis, key: str, mode: str
) -> None:
    sink = sink_of(redis_server, key, mode=mode)
    sink.deliver([reading(1), reading(2)])
    client.delete(key)

    sink.deliver([reading(1), reading(2), reading(3)])

    assert (client.xlen(key) if mode == "stream" else client.llen(key)) == 1


def test_a_list_keeps_the_newest(redis_server: RunningRedis, client: Redis, key: str) -> None:
    sink_of(redis_server, key, mode="list", maxlen=3).deliver([reading(n, b'{"n":%d}' % n) for n in range(10)])

    assert [json.loads(item)["payload"]["n"] for item in client.lrange(key, 0, -1)] == [7, 8, 9]


def test_a_stream_keeps_about_the_newest(redis_server: RunningRedis, client: Redis, key: str) -> None:
    sink = sink_of(redis_server, key, maxlen=100)
    for first in range(0, 1000, 200):
        sink.deliver([reading(n) for n in range(first, first + 200)])

    assert 100 <= client.xlen(key) < 300
    assert client.xrevrange(key, count=1)[0][1]["id"] == f"{999:032x}"


def test_ids_are_remembered_for_a_while_and_not_for_ever(
    redis_server: RunningRedis, client: Redis, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "REMEMBERED", 5)
    sink = sink_of(redis_server, key)

    for number in range(20):
        sink.deliver([reading(number)])
    sink.deliver([reading(n) for n in range(15, 20)])

    assert client.xlen(key) == 20
    assert client.zrange(f"{{{key}}}:delivered", 0, -1) == [f"{n:032x}" for n in range(15, 20)]


def test_a_key_that_is_something_else_is_told(redis_server: RunningRedis, client: Redis, key: str) -> None:
    client.set(key, "somebody's")

    with pytest.raises(SinkUnavailable, match="KRAKENB_REDIS_KEY names what is no stream"):
        sink_of(redis_server, key).deliver([reading(1)])

    client.delete(key)
    sink_of(redis_server, key).deliver([reading(1)])
    assert client.xlen(key) == 1


def test_a_user_without_rights_is_told(redis_server: RunningRedis, client: Redis, key: str) -> None:
    client.acl_setuser("reader", enabled=True, passwords=["+secret"], categories=["+@read"], keys=["*"])

    with pytest.raises(SinkUnavailable, match="let this user run scripts"):
        sink_of(redis_server, key, user="reader", password=SecretStr("secret")).deliver([reading(1)])


def test_a_redis_without_memory_gets_the_readings_when_it_has_some(
    redis_server: RunningRedis, client: Redis, key: str
) -> None:
    sink = sink_of(redis_server, key)
    sink.deliver([reading(0)])
    client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(SinkUnavailable, match="maxmemory"):
            sink.deliver([reading(1), reading(2)])
    finally:
        client.config_set("maxmemory", "0")

    sink.deliver([reading(1), reading(2)])
    assert client.xlen(key) == 3


def test_after_a_failover_the_old_primary_takes_nothing(redis_server: RunningRedis, client: Redis, key: str) -> None:
    sink = sink_of(redis_server, key)
    client.replicaof("127.0.0.1", "1")  # of a primary that nobody reaches
    try:
        with pytest.raises(SinkUnavailable, match=r"(?i)read.only"):
            sink.deliver([reading(1)])
    finally:
        client.replicaof("NO", "ONE")

    sink.deliver([reading(1)])
    assert client.xlen(key) == 1


def test_a_redis_that_was_killed_knows_what_it_has(tmp_path: Path, mark: str, redis_on_path: None, key: str) -> None:
    server = start_redis(tmp_path, mark)
    try:
        sink = sink_of(server, key)
        sink.deliver([reading(1), reading(2)])
        server.kill()
        with pytest.raises(SinkUnavailable):
            sink.deliver([reading(2), reading(3)])
        server.start()

        sink.deliver([reading(2), reading(3)])

        with server.client() as client:
            assert [fields["id"] for _, fields in client.xrange(key)] == [f"{n:032x}" for n in (1, 2, 3)]
    finally:
        server.stop()


def test_a_host_may_be_an_address(redis_server: RunningRedis, client: Redis, key: str) -> None:
    settings = redis.RedisSettings(
        host=f"redis://127.0.0.1:{redis_server.port}", port=1, db=3, user=USER, password=SecretStr(PASSWORD), key=key
    )

    redis.RedisSink(settings).deliver([reading(1)])

    with Redis(host="127.0.0.1", port=redis_server.port, db=3, username=USER, password=PASSWORD) as third:
        assert third.xlen(key) == 1
    assert client.xlen(key) == 0
