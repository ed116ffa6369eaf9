"""The mirror against a model of etcd: however changes come, the tables say what etcd says."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Engine, delete, func, insert, select, update

from fieldpipe.sentinel.keys import Changes
from fieldpipe.sentinel.mirror import AT_ONCE, Change, Checkpoint, Mirror, RelistNeeded
from fieldpipe.sentinel.rows import Name
from fieldpipe.sentinel.schema import connect, migrate
from fieldpipe.sentinel.tables import checkpoint, device, entries, findings, history, pod
from fieldpipe.settings import MysqlSettings, SentinelSettings
from tests.mariadb_servers import Mariadb
from tests.sentinel.models import Etcd, device_key, device_value, expected, pod_key, pod_value, tables

EDGE = Name("device", "edge")


@pytest.fixture
def etcd() -> Etcd:
    return Etcd()


def begun(engine: Engine, etcd: Etcd, **options: Any) -> Mirror:
    """A mirror that stands for etcd as it is."""
    mirror = Mirror(engine, **options)
    mirror.relist(mirror.checkpoint(), Checkpoint(etcd.cluster_id, etcd.revision), etcd.listed())
    return mirror


def count(engine: Engine, table: Any) -> int:
    with engine.begin() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_listing_becomes_rows(engine: Engine, etcd: Etcd) -> None:
    etcd.change((device_key("edge"), device_value("edge", mac="aa:bb")), (pod_key("p"), pod_value("p", deployedAt="")))

    mirror = begun(engine, etcd)

    found = tables(engine)
    assert found == expected(etcd.listed())
    assert found[EDGE]["extra"] == '{"mac": "aa:bb", "updateAt": "2026-01-02 03:04:05"}'
    assert found[Name("pod", "p")]["deployedAt"] is None
    assert mirror.checkpoint() == Checkpoint("c1", 2)


def test_changes_are_inserts_replacements_and_deletions(engine: Engine, etcd: Etcd) -> None:
    mirror = begun(engine, etcd)
    first = etcd.change((device_key("edge"), device_value("edge")))
    second = etcd.change((device_key("edge"), device_value("edge", os="bsd")))
    third = etcd.change((device_key("edge"), None))

    assert mirror.apply("c1", [first]) == [Change("inserted", EDGE)]
    assert mirror.apply("c1", [second]) == [Change("replaced", EDGE)]
    assert tables(engine)[EDGE]["os"] == "bsd"
    assert mirror.apply("c1", [third]) == [Change("deleted", EDGE)]
    assert count(engine, history) == 3


@pytest.mark.parametrize("deletes", ["keep", "mark", "remove"])
def test_a_row_whose_key_is_gone_is_kept_marked_or_removed(engine: Engine, etcd: Etcd, deletes: str) -> None:
    etcd.change((device_key("edge"), device_value("edge")), (pod_key("p"), pod_value("p")))
    mirror = begun(engine, etcd, deletes=deletes)

    mirror.apply("c1", [etcd.change((device_key("edge"), None), (pod_key("p"), None))])

    found = {
        name: (row.get("connectionStatus", row.get("status")), row["deletedAt"] is not None)
        for name, row in tables(engine).items()
    }
    wanted = {
        "keep": {EDGE: (0, False), Name("pod", "p"): ("0", False)},
        "mark": {EDGE: (1, True), Name("pod", "p"): ("1", True)},
        "remove": {},
    }
    assert found == wanted[deletes]


def test_a_row_that_was_marked_comes_back_with_its_key(engine: Engine, etcd: Etcd) -> None:
    mirror = begun(engine, etcd)
    put = (device_key("edge"), device_value("edge"))
    mirror.apply("c1", [etcd.change(put), etcd.change((put[0], None))])
    mirror.apply("c1", [etcd.change(put)])

    assert tables(engine) == expected(etcd.listed())


def test_the_status_of_the_key_overrides_that_of_the_value(engine: Engine, etcd: Etcd) -> None:
    mirror = begun(engine, etcd)
    mirror.apply("c1", [etcd.change((device_key("edge", "1"), device_value("edge", connectionStatus="0")))])

    assert tables(engine)[EDGE]["connectionStatus"] == 1


@pytest.mark.parametrize("put_first", [True, False])
def test_a_move_from_0_to_1_leaves_the_row_in_whatever_order_it_comes(
    engine: Engine, etcd: Etcd, put_first: bool
) -> None:
    etcd.change((device_key("edge"), device_value("edge")))
    mirror = begun(engine, etcd)
    steps = [(device_key("edge", "1"), device_value("edge")), (device_key("edge"), None)]
    for step in steps if put_first else steps[::-1]:
        mirror.apply("c1", [etcd.change(step)])

    assert tables(engine) == expected(etcd.listed())
    assert tables(engine)[EDGE]["connectionStatus"] == 1


def test_an_older_key_counts_again_when_the_newer_one_is_gone(engine: Engine, etcd: Etcd) -> None:
    etcd.change((device_key("edge"), device_value("edge", os="old")))
    etcd.change((device_key("edge", "1"), device_value("edge", os="new")))
    mirror = begun(engine, etcd)
    assert tables(engine)[EDGE]["os"] == "new"

    mirror.apply("c1", [etcd.change((device_key("edge", "1"), None))])

    assert tables(engine)[EDGE]["os"] == "old"


def test_what_was_written_already_is_not_written_again(engine: Engine, etcd: Etcd) -> None:
    mirror = begun(engine, etcd)
    first = etcd.change((device_key("edge"), device_value("edge", os="old")))
    second = etcd.change((device_key("edge"), device_value("edge", os="new")))
    mirror.apply("c1", [first, second])

    assert mirror.apply("c1", [first]) == []
    assert tables(engine)[EDGE]["os"] == "new"
    assert count(engine, history) == 2


def test_malformed_keys_and_values_are_findings_and_stop_nothing(engine: Engine, etcd: Etcd) -> None:
    mirror = begun(engine, etcd)
    change = etcd.change(
        (b"/Device/edge", b"{}"),
        (device_key("bad"), b"no json"),
        (device_key("O'Reilly"), device_value("O'Reilly; DROP TABLE device")),
        (device_key("edge"), device_value("edge")),
    )

    shown = mirror.apply("c1", [change])

    assert [each.what for each in shown] == ["inserted", "bad", "bad", "bad"]
    assert tables(engine).keys() == {EDGE}
    assert count(engine, findings) == 3
    mended = etcd.change((b"/Device/edge", None), (device_key("bad"), device_value("bad")))
    mirror.apply("c1", [mended, etcd.change((device_key("O'Reilly"), device_value("O'Reilly")))])
    assert count(engine, findings) == 0
    assert tables(engine) == expected(etcd.listed())


def test_a_value_that_becomes_malformed_leaves_the_row_as_it_was(engine: Engine, etcd: Etcd) -> None:
    etcd.change((device_key("edge"), device_value("edge")))
    mirror = begun(engine, etcd)
    before = tables(engine)

    mirror.apply("c1", [etcd.change((device_key("edge"), b"["))])

    assert tables(engine) == before


def test_an_address_may_go_from_one_device_to_another(engine: Engine, etcd: Etcd) -> None:
    mirror = begun(engine, etcd)
    mirror.apply("c1", [etcd.change((device_key(name), device_value(name, deviceIp="10.0.0.9"))) for name in "ab"])

    assert tables(engine) == expected(etcd.listed())


def test_a_listing_deletes_what_vanished_unseen(engine: Engine, etcd: Etcd) -> None:
    etcd.change((device_key("edge"), device_value("edge")), (device_key("gone"), device_value("gone")))
    mirror = begun(engine, etcd, deletes="remove")
    etcd.change((device_key("gone"), None))
    etcd.change((device_key("new"), device_value("new")))

    known = mirror.checkpoint()
    shown = mirror.relist(known, Checkpoint("c1", etcd.revision), etcd.listed())

    assert shown == [Change("inserted", Name("device", "new")), Change("deleted", Name("device", "gone"))]
    assert tables(engine) == expected(etcd.listed())


def test_a_listing_of_a_restored_etcd_counts_although_it_is_older(engine: Engine, etcd: Etcd) -> None:
    etcd.change((device_key("edge"), device_value("edge", os="old")))
    backup = Etcd(etcd.revision, "c1", dict(etcd.keys))
    mirror = begun(engine, etcd, deletes="remove")
    mirror.apply("c1", [etcd.change((device_key("edge"), device_value("edge", os="new")))])
    mirror.apply("c1", [etcd.change((device_key("later"), device_value("later")))])

    mirror.relist(mirror.checkpoint(), Checkpoint("c1", backup.revision), backup.listed())

    assert tables(engine) == expected(backup.listed())
    assert mirror.checkpoint() == Checkpoint("c1", backup.revision)


def test_a_listing_that_another_watcher_has_overtaken_is_not_written(engine: Engine, etcd: Etcd) -> None:
    mirror = begun(engine, etcd)
    known, listed = mirror.checkpoint(), etcd.listed()
    mirror.apply("c1", [etcd.change((device_key("edge"), device_value("edge")))])

    with pytest.raises(RelistNeeded, match="another watcher"):
        mirror.relist(known, Checkpoint("c1", 1), listed)
    assert tables(engine) == expected(etcd.listed())


def test_changes_of_another_cluster_take_a_listing_first(engine: Engine, etcd: Etcd) -> None:
    with pytest.raises(RelistNeeded):
        Mirror(engine).apply("c1", [Changes(2, ())])
    mirror = begun(engine, etcd)
    with pytest.raises(RelistNeeded):
        mirror.apply("c2", [Changes(2, ())])


def test_progress_moves_the_checkpoint(engine: Engine, etcd: Etcd) -> None:
    mirror = begun(engine, etcd)
    mirror.apply("c1", [Changes(77, ())])

    assert mirror.checkpoint() == Checkpoint("c1", 77)


def test_repair_writes_rows_as_the_entries_say(engine: Engine, etcd: Etcd) -> None:
    etcd.change((device_key("edge"), device_value("edge")), (pod_key("p"), pod_value("p")))
    mirror = begun(engine, etcd, deletes="remove")
    with engine.begin() as connection:
        connection.execute(update(device).values(os="edited"))
        connection.execute(delete(pod))
        connection.execute(insert(device).values(deviceName="extra", deviceIp="x"))

    mirror.repair([EDGE, Name("pod", "p"), Name("device", "extra")])

    assert tables(engine) == expected(etcd.listed())


def test_malformed_keys_are_remembered_once_and_forgotten_when_a_listing_has_them_no_more(
    engine: Engine, etcd: Etcd
) -> None:
    etcd.change((b"/Device/edge", b"{}"), (b"/Device/" + b"long" * 1000, b"{}"))
    etcd.change((device_key("edge"), json.dumps({"deviceName": "another" * 20_000}).encode()))
    mirror = begun(engine, etcd)

    assert mirror.relist(mirror.checkpoint(), Checkpoint("c1", etcd.revision), etcd.listed()) == []
    assert (count(engine, history), count(engine, findings)) == (3, 3)
    mirror.relist(mirror.checkpoint(), Checkpoint("c1", etcd.revision + 1), [])
    assert (count(engine, history), count(engine, findings)) == (6, 0)


def test_a_listing_of_an_etcd_that_came_to_the_same_revision_twice_counts(engine: Engine, etcd: Etcd) -> None:
    etcd.change((device_key("edge"), device_value("edge", os="before")))
    mirror = begun(engine, etcd)
    restored = Etcd(1, "c1")
    restored.change((device_key("edge"), device_value("edge", os="after")))

    mirror.relist(mirror.checkpoint(), Checkpoint("c1", restored.revision), restored.listed())

    assert tables(engine) == expected(restored.listed())


def test_a_value_may_be_as_deep_as_a_parser_takes_it(engine: Engine, etcd: Etcd) -> None:
    mirror = begun(engine, etcd)
    for depth in (100, *range(880, 1000, 2), 5000, 100_000):
        value = device_value("edge").replace(b'"linux"', b'"linux", "deep": ' + b"[" * depth + b"]" * depth)
        mirror.apply("c1", [etcd.change((device_key("edge"), value))])

    assert count(engine, findings) == 1


def test_history_that_is_too_old_is_forgotten_little_by_little(engine: Engine, etcd: Etcd) -> None:
    mirror = begun(engine, etcd, keep_history=timedelta(days=30))
    now = datetime.now(UTC).replace(tzinfo=None)
    days = [31] * (2 * AT_ONCE + 1) + [29] * 3
    with engine.begin() as connection:
        rows = [{"key": b"k", "revision": 1, "at": now - timedelta(days=each)} for each in days]
        connection.execute(insert(history), rows)

    assert [mirror.forget() for _ in range(4)] == [True, True, False, False]
    assert count(engine, history) == 3


@pytest.mark.mariadb
def test_forgetting_waits_for_no_watcher_and_holds_none_up(mariadb: Mariadb, etcd: Etcd) -> None:
    engine = connect(SentinelSettings(url=SecretStr(mariadb.url)), MysqlSettings())
    migrate(engine)
    mirror = begun(engine, etcd, keep_history=timedelta(0))
    mirror.apply("c1", [etcd.change((device_key("edge"), device_value("edge")))])
    with engine.begin() as other:  # as one that writes
        other.execute(select(checkpoint).with_for_update())
        other.execute(insert(history).values(key=b"k", revision=1))

        mirror.forget()

        assert count(engine, history) == 0
    assert count(engine, history) == 1
    engine.dispose()


NAMES = st.sampled_from(["a", "b", "c"])
KEYS = st.one_of(
    st.builds(device_key, NAMES, st.sampled_from("01")), st.builds(pod_key, NAMES, NAMES, st.sampled_from("01"))
)
TRANSACTIONS = st.lists(
    st.lists(
        st.tuples(KEYS, st.sampled_from(["0", "1", "2", "bad", None])), min_size=1, max_size=4, unique_by=lambda c: c[0]
    ),
    max_size=12,
)


@given(data=st.data(), before=TRANSACTIONS, after=TRANSACTIONS)
@settings(max_examples=60)
def test_however_changes_are_cut_the_tables_say_what_etcd_says(
    data: st.DataObject, before: list[Any], after: list[Any]
) -> None:
    engine = connect(SentinelSettings(url=SecretStr("sqlite://")), MysqlSettings())
    migrate(engine)
    etcd = Etcd()
    for transaction in before:
        etcd.change(*(valued(*each) for each in transaction))
    mirror = begun(engine, etcd, deletes="remove")
    updates = [etcd.change(*(valued(*each) for each in transaction)) for transaction in after]
    while updates:
        cut = data.draw(st.integers(1, len(updates)))
        mirror.apply("c1", updates[:cut])
        updates = updates[data.draw(st.integers(0, cut)) :]  # some come again

    with engine.begin() as connection:
        stored = connection.execute(select(entries.c.key, entries.c.value, entries.c.mod_revision)).all()
    assert sorted(stored) == [tuple(each) for each in etcd.listed()]
    known = expected(etcd.listed())
    assert {name: row for name, row in tables(engine).items() if name in known} == known
    assert count(engine, findings) == sum(entry.value == b"bad" for entry in newest(etcd))
    engine.dispose()


def valued(key: bytes, version: str | None) -> tuple[bytes, bytes | None]:
    if version is None or version == "bad":
        return key, version and version.encode()
    name = key.decode().split("/")[2 if key.startswith(b"/Device") else 4]
    value = device_value(name, os=version) if key.startswith(b"/Device") else pod_value(name, currentVersion=version)
    return key, value


def newest(etcd: Etcd) -> list[Any]:
    """The key of each row that counts."""
    found: dict[Any, Any] = {}
    for entry in sorted(etcd.keys.values(), key=lambda each: (each.mod_revision, each.key)):
        parts = entry.key.decode().split("/")
        found[parts[1], parts[-1] if parts[1] == "Pod" else parts[2]] = entry
    return list(found.values())
