"""Fixtures that every test may use: real servers, started once per session or by a factory, ended in any case."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import hypothesis
import pytest

from fieldpipe.local import marks
from fieldpipe.local.home import Home
from tests import kafka_programs, mariadb_servers
from tests.airflow_looks import Airflow
from tests.connect.worker import ConnectWorker, start_worker
from tests.etcd_servers import RunningEtcd, Tls, debian_etcd, start_etcd
from tests.kafka_servers import Kafka, start_apache, start_tansu
from tests.mariadb_servers import Mariadb, start_mariadb
from tests.servers import Postgres, Running, Store, start_minio, start_postgres, start_seaweed
from tests.stacks import PROJECT, RunningStack

SMALL_BATCHES = """
[[route]]
name = "recordings"
bucket = "raw-data"
patterns = ["**/*.mcap"]
dag_id = "recording_to_csv"
batch_limit = 10
max_runs = 6
"""

hypothesis.settings.register_profile("patient", deadline=None)  # the machine may be busy with anything
hypothesis.settings.load_profile("patient")

AnyRunning = TypeVar("AnyRunning", bound=Running[Any])


def stopped_afterwards(start: Callable[..., AnyRunning]) -> Iterator[Callable[..., AnyRunning]]:
    """The body of a fixture: `start` for the test to call, as often as it likes; in the end each server is stopped."""
    with ExitStack() as started:

        def make(*arguments: Any) -> AnyRunning:
            server = start(*arguments)
            started.callback(server.stop)
            return server

        yield make


@pytest.fixture(scope="session")
def mark() -> Iterator[str]:
    """The mark of every process that this session starts; whatever still carries it at the end is ended."""
    name = f"tests-{os.getpid()}"
    yield name
    marks.sweep(name)


@pytest.fixture(scope="session")
def socket_folder() -> Iterator[Callable[[], Path]]:
    """Makes folders with short paths: a unix socket's path has at most 107 bytes."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="fp-")))
        return made[-1]

    yield make
    for folder in made:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(
    tmp_path_factory: pytest.TempPathFactory, socket_folder: Callable[[], Path], mark: str
) -> Iterator[Postgres]:
    """The session's PostgreSQL: `create_database()` gives the URL of an empty one. Not to be stopped by a test."""
    server = start_postgres(tmp_path_factory.mktemp("postgres"), socket_folder(), mark)
    yield server
    server.stop()


@pytest.fixture
def postgres_factory(socket_folder: Callable[[], Path], mark: str) -> Iterator[Callable[[Path], Postgres]]:
    """`postgres_factory(tmp_path)`: a server of the test's own, to be stopped, started again and killed."""
    yield from stopped_afterwards(lambda folder: start_postgres(folder / "postgres", socket_folder(), mark))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, socket_folder: Callable[[], Path], mark: str) -> Iterator[Store]:
    """The session's SeaweedFS with the buckets raw-data and processed-data. Tests use keys of their own."""
    server = start_seaweed(tmp_path_factory.mktemp("store"), socket_folder(), mark)
    yield server
    server.stop()


@pytest.fixture
def store_factory(socket_folder: Callable[[], Path], mark: str) -> Iterator[Callable[[Path], Store]]:
    """`store_factory(tmp_path)`: a SeaweedFS of the test's own, to be stopped, started again and killed."""
    yield from stopped_afterwards(lambda folder: start_seaweed(folder / "store", socket_folder(), mark))


@pytest.fixture(scope="session")
def minio_on_path() -> None:
    """Without a `minio` on PATH its tests are skipped; where CI has it (FIELDPIPE_REQUIRE_MINIO=1) they fail."""
    require("minio", "FIELDPIPE_REQUIRE_MINIO")


@pytest.fixture(scope="session")
def redis_on_path() -> None:
    """Without a `redis-server` on PATH its tests are skipped; where CI has it (FIELDPIPE_REQUIRE_REDIS=1) they fail."""
    require("redis-server", "FIELDPIPE_REQUIRE_REDIS")


@pytest.fixture(scope="session")
def influxd_on_path() -> None:
    """Without an `influxd` on PATH its tests are skipped; where CI has it (FIELDPIPE_REQUIRE_INFLUXDB=1) they fail."""
    require("influxd", "FIELDPIPE_REQUIRE_INFLUXDB")


def require(program: str, variable: str) -> None:
    """Skip when a program is not on PATH; fail in CI when the variable says that it was installed."""
    if shutil.which(program) is None:
        skip_unless_required(f"no `{program}` on PATH: this test needs a real one", variable)


def skip_unless_required(missing: str, variable: str) -> NoReturn:
    """Skip, or fail in CI when the variable says that what is missing was installed."""
    if os.environ.get("CI") == "true" and os.environ.get(variable) == "1":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def minio_store(minio_on_path: None, tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[Store]:
    """The session's MinIO, as `store` is its SeaweedFS."""
    server = start_minio(tmp_path_factory.mktemp("minio"), mark, {})
    yield server
    server.stop()


@pytest.fixture
def minio_server(minio_on_path: None, mark: str) -> Iterator[Callable[..., Store]]:
    """`minio_server(tmp_path, {"MINIO_NOTIFY_WEBHOOK_ENABLE_PRIMARY": "on", ...})`: a MinIO of the test's own."""

    def start(folder: Path, notify: Mapping[str, str] | None = None) -> Store:
        return start_minio(folder / "minio", mark, notify or {})

    yield from stopped_afterwards(start)


@pytest.fixture(scope="session")
def tansu(tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[Kafka]:
    """The session's tansu, the broker of the embedded stack. Tests use topics of their own."""
    server = start_tansu(tmp_path_factory.mktemp("tansu"), mark)
    yield server
    server.stop()


@pytest.fixture
def tansu_factory(mark: str) -> Iterator[Callable[[Path], Kafka]]:
    """`tansu_factory(tmp_path)`: a tansu of the test's own; stopped or killed, it forgets everything."""
    yield from stopped_afterwards(lambda folder: start_tansu(folder / "tansu", mark))


@pytest.fixture(scope="session")
def apache_jars() -> Path:
    """Where Apache Kafka cannot be had its tests are skipped; where CI has it (FIELDPIPE_REQUIRE_KAFKA=1) they fail."""
    try:
        return kafka_programs.jars()
    except kafka_programs.NotHere as missing:
        skip_unless_required(str(missing), "FIELDPIPE_REQUIRE_KAFKA")


@pytest.fixture(scope="session")
def apache_kafka(apache_jars: Path, tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[Kafka]:
    """The session's Apache Kafka. Tests that use it carry the mark `kafka` and topics of their own."""
    server = start_apache(tmp_path_factory.mktemp("kafka"), mark, apache_jars)
    yield server
    server.kill()


@pytest.fixture
def apache_kafka_factory(apache_jars: Path, mark: str) -> Iterator[Callable[[Path], Kafka]]:
    """`apache_kafka_factory(tmp_path)`: an Apache Kafka of the test's own, which keeps its data when it is killed."""
    yield from stopped_afterwards(lambda folder: start_apache(folder / "kafka", mark, apache_jars))


@pytest.fixture(scope="session")
def connect_worker(
    apache_kafka: Kafka, apache_jars: Path, tmp_path_factory: pytest.TempPathFactory, mark: str
) -> Iterator[ConnectWorker]:
    """The session's worker of Kafka Connect. Tests use connectors of their own; a worker that was killed is started."""
    environment = {"MINIO_ACCESS_KEY": "key-of-the-worker", "MINIO_SECRET_KEY": "secret-of-the-worker"}
    folder = tmp_path_factory.mktemp("connect")
    try:
        server = start_worker(folder, mark, apache_jars, apache_kafka.address, environment)
    except kafka_programs.NotHere as missing:
        skip_unless_required(str(missing), "FIELDPIPE_REQUIRE_KAFKA")
    yield server
    server.kill()


@pytest.fixture(params=["tansu", pytest.param("apache_kafka", marks=pytest.mark.kafka)])
def any_kafka(request: pytest.FixtureRequest) -> Kafka:
    """The session's brokers, one after the other."""
    broker: Kafka = request.getfixturevalue(request.param)
    return broker


BOTH_REAL = pytest.param(("apache_kafka", "minio_store"), marks=[pytest.mark.kafka, pytest.mark.minio])


@pytest.fixture(params=[("tansu", "store"), BOTH_REAL], ids=["embedded", "apache and minio"])
def any_servers(request: pytest.FixtureRequest) -> tuple[Kafka, Store]:
    """A broker and a store, which know nothing of each other: those of the embedded stack, then those of the world."""
    broker, objects = request.param
    return request.getfixturevalue(broker), request.getfixturevalue(objects)


@pytest.fixture(scope="session")
def session_etcd(tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[RunningEtcd]:
    """The session's etcd. Tests take `etcd`."""
    server = start_etcd(tmp_path_factory.mktemp("etcd"), mark)
    yield server
    server.stop()


@pytest.fixture
def etcd(session_etcd: RunningEtcd) -> RunningEtcd:
    """An etcd of version 3.5 without a key; its revision goes on. Not to be stopped by a test."""
    session_etcd.clear()
    return session_etcd


@pytest.fixture
def etcd_factory(mark: str) -> Iterator[Callable[..., RunningEtcd]]:
    """`etcd_factory(tmp_path)`: an etcd of the test's own, to be stopped, started again, killed and restored."""

    def start(folder: Path, tls: Tls | None = None) -> RunningEtcd:
        return start_etcd(folder / "etcd", mark, tls=tls)

    yield from stopped_afterwards(start)


@pytest.fixture(scope="session")
def session_etcd_34(tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[RunningEtcd]:
    """The session's etcd of version 3.4, which titaniadb is. Tests take `any_etcd`."""
    server = start_etcd(tmp_path_factory.mktemp("etcd-34"), mark, debian_etcd())
    yield server
    server.stop()


@pytest.fixture(params=["session_etcd", "session_etcd_34"])
def any_etcd(request: pytest.FixtureRequest) -> RunningEtcd:
    """As `etcd`, of each version."""
    if request.param == "session_etcd_34" and debian_etcd() is None:
        pytest.skip("FIELDPIPE_ETCD_34 names no etcd of version 3.4 (Debian 12: the package etcd-server)")
    server: RunningEtcd = request.getfixturevalue(request.param)
    server.clear()
    return server


@pytest.fixture(scope="session")
def mariadb_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without MariaDB's programs its tests are skipped; where CI has them (FIELDPIPE_REQUIRE_MARIADB=1) they fail."""
    try:
        return mariadb_servers.make_template(tmp_path_factory.mktemp("mariadb-template"))
    except mariadb_servers.NotHere as missing:
        skip_unless_required(str(missing), "FIELDPIPE_REQUIRE_MARIADB")


@pytest.fixture(scope="session")
def session_mariadb(
    mariadb_template: Path, tmp_path_factory: pytest.TempPathFactory, socket_folder: Callable[[], Path], mark: str
) -> Iterator[Mariadb]:
    """The session's MariaDB. Tests take `mariadb`."""
    server = start_mariadb(tmp_path_factory.mktemp("mariadb"), socket_folder(), mark, mariadb_template)
    yield server
    server.stop()


@pytest.fixture
def mariadb(session_mariadb: Mariadb) -> Mariadb:
    """A MariaDB without a database. Tests that use it carry the mark `mariadb`, and do not stop it."""
    session_mariadb.clear()
    return session_mariadb


@pytest.fixture
def mariadb_factory(
    mariadb_template: Path, socket_folder: Callable[[], Path], mark: str
) -> Iterator[Callable[[Path], Mariadb]]:
    """`mariadb_factory(tmp_path)`: a MariaDB of the test's own, to be stopped, started again and killed."""
    yield from stopped_afterwards(
        lambda folder: start_mariadb(folder / "mariadb", socket_folder(), mark, mariadb_template)
    )


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def sql_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The SQLAlchemy URL of an empty database of each kind that the sentinel writes to, one after the other."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sentinel.db'}?timeout=60"  # seconds that it waits for those who write
    server: Mariadb = request.getfixturevalue("mariadb")
    return server.url


@pytest.fixture(scope="session")
def in_airflow(tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[Airflow]:
    """Airflow's classes with our DAGs, in a process of the session's; no server of it."""
    classes = Airflow(tmp_path_factory.mktemp("airflow"), mark)
    yield classes
    classes.stop()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The whole embedded stack, once per session. Tests use keys of their own and may kill services."""
    running = RunningStack(Home(tmp_path_factory.mktemp("stack"), PROJECT))
    try:
        running.up()
        yield running
    finally:
        running.down()


@pytest.fixture
def minio_stack(minio_on_path: None, tmp_path: Path) -> Iterator[RunningStack]:
    """A stack of the test's own with a real MinIO, whose notifications are the events."""
    running = RunningStack(Home(tmp_path / "stack", PROJECT), (("FIELDPIPE_STORE", "minio"),))
    try:
        running.up()
        yield running
    finally:
        running.down()


@pytest.fixture(scope="module")
def celery_stack(redis_on_path: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack with two Celery workers, for the tests of one file; a run of it carries ten objects at most."""
    folder = tmp_path_factory.mktemp("celery")
    routes = folder / "routes.toml"
    routes.write_text(SMALL_BATCHES)
    settings = (("FIELDPIPE_CELERY_WORKERS", "2"), ("FIELDPIPE_ROUTES_FILE", str(routes)))
    running = RunningStack(Home(folder / "stack", PROJECT), settings)
    try:
        running.up()
        yield running
    finally:
        running.down()
