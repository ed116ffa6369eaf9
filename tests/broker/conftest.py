"""Databases for the tests of the sinks: real ones where Debian has them, stubs of the others."""

from collections.abc import Iterator

import pytest

from tests.broker.database_servers import Influx, RunningRedis, start_influx, start_redis
from tests.broker.influxdb2_stub import Influxdb2Stub
from tests.broker.mongodb_stub import MongodbStub
from tests.broker.places import Place, influx_place, influxdb2_place, mongodb_place, redis_place


@pytest.fixture(scope="session")
def redis_server(redis_on_path: None, tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[RunningRedis]:
    """The session's Redis, for the user USER. Tests use keys of their own; one that stops it starts it again."""
    server = start_redis(tmp_path_factory.mktemp("redis"), mark)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def influx(influxd_on_path: None, tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[Influx]:
    """The session's InfluxDB 1. Tests use databases of their own; one that stops it starts it again."""
    server = start_influx(tmp_path_factory.mktemp("influx"), mark)
    yield server
    server.stop()


@pytest.fixture
def influxdb2_stub() -> Iterator[Influxdb2Stub]:
    """A stub of InfluxDB 2."""
    stub = Influxdb2Stub()
    yield stub
    stub.stop()


@pytest.fixture
def mongodb_stub() -> Iterator[MongodbStub]:
    """A stub of MongoDB."""
    stub = MongodbStub()
    yield stub
    stub.stop()


@pytest.fixture(params=["redis-stream", "redis-list", "influxdb1", "influxdb-1.8", "influxdb-stub", "mongodb-stub"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each of them, empty, one after the other."""
    kind: str = request.param
    if kind.startswith("redis"):
        return redis_place(request.getfixturevalue("redis_server"), kind.removeprefix("redis-"))
    if kind == "influxdb-stub":
        return influxdb2_place(request.getfixturevalue("influxdb2_stub"))
    if kind == "mongodb-stub":
        return mongodb_place(request.getfixturevalue("mongodb_stub"))
    server: Influx = request.getfixturevalue("influx")
    if kind == "influxdb1":
        return influx_place(server, 1)
    if not server.takes_version_2:
        pytest.skip("this influxd has no /api/v2/write: it takes version 1.8")
    return influx_place(server, 2)
