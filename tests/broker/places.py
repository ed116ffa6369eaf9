"""The databases that readings go to, for the contract that all their sinks keep: each with its sink and content."""

from collections.abc import Callable
from typing import Protocol
from uuid import uuid4

from pydantic import SecretStr

from fieldpipe.broker.sinks import influxdb, influxdb1, mongodb, redis
from fieldpipe.broker.sinks.sink import Sink
from tests.broker import influxdb2_stub
from tests.broker.database_servers import PASSWORD, USER, Influx, RunningRedis
from tests.broker.influxdb2_stub import Influxdb2Stub
from tests.broker.mongodb_stub import MongodbStub


class Startable(Protocol):
    """A server."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Place:
    """`numbers()`: the member `n` of the payloads that are there, in their order."""

    def __init__(
        self,
        server: Startable,
        port: int,
        sink: Callable[[int, str, float], Sink],
        numbers: Callable[[], list[int]],
    ) -> None:
        self.server = server
        self.port = port
        self.numbers = numbers
        self._sink = sink

    def sink(self, port: int | None = None, *, seconds: float = 5, password: str | None = None) -> Sink:
        """Of this place, by another way or with another password where that is said; its waits end after `seconds`."""
        return self._sink(port or self.port, password or "", seconds)


def redis_place(server: RunningRedis, mode: str) -> Place:
    """A key of its own."""
    key = f"readings:{uuid4().hex}"

    def sink(port: int, password: str, seconds: float) -> Sink:
        secret = SecretStr(password or PASSWORD)
        settings = redis.RedisSettings(host="127.0.0.1", port=port, user=USER, password=secret, mode=mode, key=key)
        return redis.RedisSink(settings, seconds)

    def numbers() -> list[int]:
        with server.client() as client:
            if mode == "list":
                return [_number(item) for item in client.lrange(key, 0, -1)]
            return [_number(fields["payload"]) for _, fields in client.xrange(key)]

    return Place(server, server.port, sink, numbers)


def influx_place(server: Influx, version: int) -> Place:
    """A database of its own, by the door of version 1 or 2."""
    database = server.create_database()

    def sink(port: int, password: str, seconds: float) -> Sink:
        host, secret = f"http://127.0.0.1:{port}", password or PASSWORD
        if version == 1:
            settings = influxdb1.Influxdb1Settings(host=host, database=database, user=USER, password=SecretStr(secret))
            return influxdb1.Influxdb1Sink(settings, seconds)
        token = SecretStr(f"{USER}:{secret}")
        return influxdb.InfluxdbSink(
            influxdb.InfluxdbSettings(host=host, api_token=token, org="-", bucket=f"{database}/autogen"), seconds
        )

    def numbers() -> list[int]:
        return [int(row["n"]) for row in server.query("SELECT n FROM webhook", database)]

    return Place(server, server.port, sink, numbers)


def influxdb2_place(stub: Influxdb2Stub) -> Place:
    """The stub's bucket."""

    def sink(port: int, password: str, seconds: float) -> Sink:
        settings = influxdb.InfluxdbSettings(
            host=f"http://127.0.0.1:{port}",
            api_token=SecretStr(password or influxdb2_stub.TOKEN),
            org=influxdb2_stub.ORG,
            bucket=influxdb2_stub.BUCKET,
        )
        return influxdb.InfluxdbSink(settings, seconds)

    def numbers() -> list[int]:
        points = sorted(stub.points.items(), key=lambda point: point[0][1])
        return [int(fields["n"]) for _, fields in points]

    return Place(stub, stub.port, sink, numbers)


def mongodb_place(stub: MongodbStub) -> Place:
    """The stub's only collection. Its password is wrong in any case, and is asked for with a wrong one only."""

    def sink(port: int, password: str, seconds: float) -> Sink:
        stub.users_only = bool(password)
        account = {"user": USER, "password": SecretStr(password)} if password else {}
        return mongodb.MongodbSink(mongodb.MongodbSettings(host=f"127.0.0.1:{port}", **account), seconds)

    def numbers() -> list[int]:
        return [document["payload"]["n"] for document in stub.documents.values()]

    return Place(stub, stub.port, sink, numbers)


def _number(text: str) -> int:
    """What stands behind `"n":`."""
    return int(text.partition('"n":')[2].partition("}")[0].partition(",")[0])
