"""What a database does to those who write to it: the watcher repeats what was undone, and nothing else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, make_url

from fieldpipe.sentinel.schema import connect, migrate
from fieldpipe.settings import MysqlSettings, SentinelSettings
from tests.broker.proxy import Wire
from tests.etcd_servers import RunningEtcd
from tests.mariadb_servers import Mariadb
from tests.sentinel.models import device_key, device_value, pod_key, pod_value
from tests.sentinel.test_watch import Watching, write
from tests.sentinel.witness import Witness
from tests.waiting import eventually

EDGE = device_key("edge").decode()
WAITS = (
    "SELECT 1 FROM information_schema.global_status"
    " WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS' AND variable_value > 0"
)
WAITING = "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
MAY = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES"

pytestmark = [pytest.mark.fault, pytest.mark.mariadb]


@pytest.fixture
def engine(mariadb: Mariadb) -> Iterator[Engine]:
    engine = connect(SentinelSettings(url=SecretStr(mariadb.url)), MysqlSettings())
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def witness(engine: Engine, etcd: RunningEtcd) -> Witness:
    return Witness(engine, etcd.settings)


@pytest.fixture
def wire(mariadb: Mariadb) -> Iterator[Wire]:
    wire = Wire(mariadb.server.port)
    yield wire
    wire.close()


@pytest.fixture
def start(etcd: RunningEtcd, mariadb: Mariadb, tmp_path: Path) -> Iterator[Callable[..., Watching]]:
    started: list[Watching] = []

    def start(url: str = mariadb.url, **variables: str) -> Watching:
        started.append(Watching(url, tmp_path))
        started[-1].start(etcd, **variables)
        return started[-1]

    yield start
    for each in started:
        each.kill()


def instead(mariadb: Mariadb, **changed: object) -> str:
    """Its URL, with another port or user."""
    return make_url(mariadb.url).set(**changed).render_as_string(hide_password=False)


@contextmanager
def somebody_else(mariadb: Mariadb) -> Iterator[pymysql.cursors.Cursor]:
    """A transaction of others, undone in the end."""
    connection = mariadb.server.connect()
    connection.begin()
    try:
        yield connection.cursor()
    finally:
        connection.close()


def waiting(mariadb: Mariadb, log: Callable[[], str]) -> int:
    """The connection of a watcher that waits for a lock.

    InnoDB lists its transactions anew only for who has not asked for a tenth of a second: it is asked when one waits.
    """
    eventually(lambda: mariadb.query(WAITS), 30, log)
    ((thread,),) = mariadb.query(WAITING)
    return int(str(thread))


def test_a_deadlock_is_repeated(
    mariadb: Mariadb, etcd: RunningEtcd, witness: Witness, start: Callable[..., Watching]
) -> None:
    etcd.put(EDGE, device_value("edge"))
    watching = start()
    witness.await_all(watching.log)
    mariadb.run("CREATE TABLE Sentinel.heavy (n INT PRIMARY KEY)")
    with somebody_else(mariadb) as other:
        other.execute("INSERT INTO Sentinel.heavy SELECT seq FROM mysql.seq_1_to_2000")  # the lighter one is the victim
        other.execute("SELECT * FROM Device.device WHERE deviceName = 'edge' FOR UPDATE")
        with_others = {device_key(name).decode(): device_value(name) for name in ("a", "edge", "z")}
        for key, value in with_others.items():
            etcd.put(key, value)
        waiting(mariadb, watching.log)

        other.execute("SELECT * FROM Sentinel.checkpoint FOR UPDATE")

        eventually(lambda: "1213" in watching.log(), 30, watching.log)
        witness.look()

    witness.await_all(watching.log)
    assert not witness.was_written_twice()


def test_a_lock_that_is_held_too_long_is_waited_for_again(
    mariadb: Mariadb, etcd: RunningEtcd, witness: Witness, start: Callable[..., Watching]
) -> None:
    etcd.put(EDGE, device_value("edge"))
    watching = start()
    witness.await_all(watching.log)
    with somebody_else(mariadb) as other:
        other.execute("SELECT * FROM Device.device WHERE deviceName = 'edge' FOR UPDATE")
        etcd.put(EDGE, device_value("edge", os="bsd"))
        etcd.put("/Pod/edge/0/p", pod_value("p"))

        eventually(lambda: "1205" in watching.log(), 30, watching.log)
        witness.look()

    witness.await_all(watching.log)
    assert not witness.was_written_twice()


def test_a_connection_that_is_killed_under_a_transaction_costs_nothing(
    mariadb: Mariadb, etcd: RunningEtcd, witness: Witness, start: Callable[..., Watching]
) -> None:
    etcd.put(EDGE, device_value("edge"))
    watching = start()
    witness.await_all(watching.log)
    with somebody_else(mariadb) as other:
        other.execute("SELECT * FROM Device.device WHERE deviceName = 'edge' FOR UPDATE")
        etcd.put(EDGE, device_value("edge", os="bsd"))

        mariadb.run(f"KILL {waiting(mariadb, watching.log)}")

        eventually(lambda: "sentinel_waits" in watching.log(), 30, watching.log)
        witness.look()

    write(etcd, seed=21, count=30)
    witness.await_all(watching.log)
    assert not witness.was_written_twice()


@pytest.mark.parametrize("statement", [b"COMMIT", b"checkpoint SET"], ids=["a commit", "the statement before it"])
def test_what_was_in_doubt_is_written_once(
    wire: Wire,
    mariadb: Mariadb,
    etcd: RunningEtcd,
    witness: Witness,
    start: Callable[..., Watching],
    statement: bytes,
) -> None:
    watching = start(instead(mariadb, port=wire.port))
    write(etcd, seed=22, count=30)
    witness.await_all(watching.log)

    wire.lose(statement)
    write(etcd, seed=23, count=30)

    assert wire.was_answered()
    eventually(lambda: "sentinel_waits" in watching.log(), 30, watching.log)
    write(etcd, seed=24, count=30)
    witness.await_all(watching.log)
    assert not witness.was_written_twice()


@pytest.mark.parametrize("statement", [b"entries", b"checkpoint SET"])
def test_a_first_listing_whose_connection_is_cut_is_taken_again(
    wire: Wire,
    mariadb: Mariadb,
    etcd: RunningEtcd,
    witness: Witness,
    start: Callable[..., Watching],
    statement: bytes,
) -> None:
    write(etcd, seed=24, count=30)
    wire.lose(statement)

    watching = start(instead(mariadb, port=wire.port))

    eventually(lambda: wire.was_answered(), 30, watching.log)
    witness.await_all(watching.log)
    assert not witness.was_written_twice()


def test_while_the_server_is_read_only_the_watcher_waits(
    mariadb: Mariadb, etcd: RunningEtcd, witness: Witness, start: Callable[..., Watching]
) -> None:
    mariadb.run("CREATE OR REPLACE USER mirror@'%' IDENTIFIED BY 'secret'", f"GRANT {MAY} ON *.* TO mirror@'%'")
    watching = start(instead(mariadb, username="mirror", password="secret"))
    write(etcd, seed=24, count=30)
    witness.await_all(watching.log)
    mariadb.run("SET GLOBAL read_only = 1")
    try:
        write(etcd, seed=25, count=30)
        eventually(lambda: "1290" in watching.log(), 30, watching.log)
        witness.look()
    finally:
        mariadb.run("SET GLOBAL read_only = 0")

    witness.await_all(watching.log)


def test_without_the_right_to_write_a_table_the_watcher_waits(
    mariadb: Mariadb, etcd: RunningEtcd, witness: Witness, start: Callable[..., Watching]
) -> None:
    databases = ("Device", "Pod", "Sentinel")
    mariadb.run("CREATE OR REPLACE USER mirror@'%' IDENTIFIED BY 'secret'")
    mariadb.run(*(f"GRANT {MAY} ON {name}.* TO mirror@'%'" for name in databases))
    watching = start(instead(mariadb, username="mirror", password="secret"))
    etcd.put(EDGE, device_value("edge"))
    witness.await_all(watching.log)
    mariadb.run("REVOKE INSERT, UPDATE, DELETE ON Device.* FROM mirror@'%'")
    try:
        write(etcd, seed=26, count=30)
        eventually(lambda: "1142" in watching.log(), 30, watching.log)
        witness.look()
    finally:
        mariadb.run(f"GRANT {MAY} ON Device.* TO mirror@'%'")

    witness.await_all(watching.log)


def test_a_row_that_the_database_refuses_is_a_finding_and_stops_nothing(
    mariadb: Mariadb, etcd: RunningEtcd, start: Callable[..., Watching], engine: Engine
) -> None:
    mariadb.run("ALTER TABLE Device.device ADD CHECK (deviceIp <> '10.6.6.6')")
    watching = start()

    etcd.put("/Device/refused/0", device_value("refused", deviceIp="10.6.6.6"))
    etcd.put(EDGE, device_value("edge"))

    found = "SELECT deviceName FROM Device.device"
    eventually(lambda: mariadb.query(found) == [("edge",)], 30, watching.log)
    ((reason,),) = mariadb.query("SELECT reason FROM Sentinel.findings")
    assert "/Device/refused/0" in str(reason)


def test_rows_that_others_put_where_ours_go_are_replaced(
    mariadb: Mariadb, etcd: RunningEtcd, witness: Witness, start: Callable[..., Watching]
) -> None:
    watching = start()
    witness.await_all(watching.log)
    mariadb.run(
        "INSERT INTO Device.device (deviceName, deviceIp) VALUES ('edge', '10.9.9.9')",
        "INSERT INTO Pod.pod (podName, status) VALUES ('p', 'by hand')",
        f"INSERT INTO Sentinel.entries VALUES ('{EDGE}', 'device', 'edge', 1, 'by hand')",
    )

    with_both = {EDGE: device_value("edge"), pod_key("p").decode(): pod_value("p")}
    for key, value in with_both.items():
        etcd.put(key, value)

    eventually(lambda: mariadb.query("SELECT deviceIp FROM Device.device") == [("10.0.0.1",)], 30, watching.log)
    witness.await_all(watching.log)
