"""The server definitions of the stack, each against the real program."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pymysql
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from fieldpipe.local import ports, process
from fieldpipe.local.kafka import TansuServer, TopicCreation
from fieldpipe.local.mariadb import PORT, USER, MariadbServer
from tests.mariadb_servers import Mariadb
from tests.servers import Postgres, Running, Store
from tests.sockets import listening
from tests.waiting import eventually

INTEGER = 4711


def _value(url: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        found: int = connection.execute(text("SELECT n FROM t")).scalar_one()
    engine.dispose()
    return found


def _listens_on(pid: int) -> set[str]:
    server = psutil.Process(pid)
    return {address for address, _ in listening([server, *server.children()])}


@pytest.fixture
def kafka(store: Store, tmp_path: Path, mark: str) -> Iterator[Running[TansuServer]]:
    """The embedded stack's broker, with its records in the session's store."""
    bucket = f"kafka-{uuid4().hex[:12]}"
    store.client.ensure_bucket(bucket)
    port = ports.choose(("kafka",), tmp_path / "ports.json")["kafka"]
    server, log = TansuServer(tmp_path, port, store.settings, mark, bucket), tmp_path / "kafka.log"
    running = Running(server, process.start(server, log), log)
    yield running
    running.stop()


def test_databases_are_separate_and_empty(postgres: Postgres) -> None:
    first, second = postgres.create_database(), postgres.create_database()

    assert first != second


def test_committed_rows_survive_a_killed_postgres(postgres_factory: Callable[[Path], Postgres], tmp_path: Path) -> None:
    postgres = postgres_factory(tmp_path)
    url = postgres.create_database()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE t AS SELECT {INTEGER} AS n"))
    engine.dispose()

    postgres.kill()
    postgres.start()

    assert _value(url) == INTEGER


def test_postgres_never_runs_as_root(postgres: Postgres) -> None:
    assert psutil.Process(postgres.process.pid).uids().effective != 0


def test_postgres_opens_no_port(postgres: Postgres) -> None:
    assert _listens_on(postgres.process.pid) == set()


def test_objects_survive_a_killed_store(store_factory: Callable[[Path], Store], tmp_path: Path) -> None:
    store = store_factory(tmp_path)
    store.client.put("raw-data", "a/b.mcap", b"content")

    store.kill()
    store.start()

    assert store.client.get("raw-data", "a/b.mcap", limit=100)[0] == b"content"


def test_store_listens_on_loopback_only(store: Store) -> None:
    assert _listens_on(store.process.pid) == {"127.0.0.1"}


def test_records_and_topics_survive_a_killed_kafka(kafka: Running[TansuServer]) -> None:
    creation = TopicCreation(kafka.server, "frames")
    assert creation.needed()
    subprocess.run(creation.command().arguments, check=True)
    topics, partition = kafka.server.topics(), TopicPartition("frames", 0)
    with closing(KafkaProducer(bootstrap_servers=kafka.server.address)) as producer:
        offsets = [producer.send("frames", b"%d" % n, partition=0).get(10).offset for n in range(3)]

    kafka.kill()
    kafka.start()

    with closing(KafkaConsumer(bootstrap_servers=kafka.server.address, auto_offset_reset="earliest")) as consumer:
        consumer.assign([partition])
        consumer.seek(partition, 0)
        records: list[Any] = []
        eventually(lambda: records.extend(consumer.poll(timeout_ms=500).get(partition, ())) or len(records) == 3)
    assert [(record.offset, record.value) for record in records] == [(n, b"%d" % n) for n in offsets]
    assert topics is not None
    assert kafka.server.topics() == topics
    assert not creation.needed()


def test_kafka_listens_on_loopback_only(kafka: Running[TansuServer]) -> None:
    assert _listens_on(kafka.process.pid) == {"127.0.0.1"}


@pytest.mark.minio
@pytest.mark.mariadb
def test_a_half_made_mariadb_is_made_again_and_what_was_committed_survives_its_death(
    mariadb_template: Path, socket_folder: Callable[[], Path], tmp_path: Path, mark: str
) -> None:
    port = ports.choose((PORT,), tmp_path / "ports.json")[PORT]
    server = MariadbServer(tmp_path / "data", socket_folder(), port, SecretStr("0123abcd"), mark)
    for left in ("data.new/mysql", "data.new/aria_log_control"):
        (tmp_path / left).parent.mkdir(exist_ok=True)
        (tmp_path / left).write_text("half")
    (tmp_path / "data.sql").write_text("half")
    running = Running(server, process.start(server, tmp_path / "log"), tmp_path / "log")
    try:
        with closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE d")
            cursor.execute(f"CREATE TABLE d.t AS SELECT {INTEGER} AS n")
        running.kill()
        running.start()
        assert _value(f"mysql+pymysql://{USER}:0123abcd@127.0.0.1:{port}/d") == INTEGER
    finally:
        running.stop()

    assert not list(tmp_path.glob("data.*")), "the account's password lies nowhere"


@pytest.mark.mariadb
@pytest.mark.parametrize("user", ["root", "fieldpipe", ""])
def test_mariadb_listens_on_loopback_only_and_lets_nobody_in_without_the_password(user: str, mariadb: Mariadb) -> None:
    assert _listens_on(mariadb.process.pid) == {"127.0.0.1"}

    with pytest.raises(pymysql.OperationalError, match="denied"):
        pymysql.connect(host="127.0.0.1", port=mariadb.server.port, user=user)


def test_minio_listens_on_loopback_only_and_stores(minio_server: Callable[..., Store], tmp_path: Path) -> None:
    minio = minio_server(tmp_path)
    minio.client.put("raw-data", "a.mcap", b"content")

    assert _listens_on(minio.process.pid) <= {"127.0.0.1", "::1"}
    assert minio.client.get("raw-data", "a.mcap", limit=100)[0] == b"content"


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    class Broken:
        def prepare(self) -> None: ...

        def command(self) -> process.Command:
            return process.Command(("/bin/sh", "-c", "echo no such luck; exit 3"), tmp_path)

        def ready(self, since: float) -> bool:
            return False

    with pytest.raises(process.StartFailed, match=r"(?s)exit code 3.*no such luck"):
        process.start(Broken(), tmp_path / "log")
