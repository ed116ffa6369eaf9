"""The sums by which the watcher sees that its entries are not what etcd has."""

import pytest
from sqlalchemy import Engine, delete, update

from fieldpipe.sentinel.keys import Entry
from fieldpipe.sentinel.mirror import SUMMED_AT_ONCE, Checkpoint, Mirror
from fieldpipe.sentinel.sums import Sums, add
from fieldpipe.sentinel.tables import entries
from tests.sentinel.models import Etcd, device_key, device_value, pod_key, pod_value


@pytest.fixture
def etcd() -> Etcd:
    etcd = Etcd()
    etcd.change(*((device_key(name), device_value(name)) for name in ("a", "b", "機器")))
    etcd.change((pod_key("p"), pod_value("p")), (device_key("bad"), b"\xff{"), (b"/Device/malformed", b"{}"))
    return etcd


def test_etcd_and_its_mirror_have_the_same_sums(engine: Engine, etcd: Etcd) -> None:
    mirror = Mirror(engine)
    assert mirror.sums() == (None, Sums())
    at = Checkpoint(etcd.cluster_id, etcd.revision)
    mirror.relist(None, at, etcd.listed())

    assert mirror.sums() == (at, add(add(Sums(), etcd.listed()[:2]), etcd.listed()[2:]))
    assert mirror.sums()[1].keys == 5


def test_they_are_of_one_moment_while_changes_are_written(engine: Engine, etcd: Etcd) -> None:
    names = [f"many-{number}" for number in range(2 * SUMMED_AT_ONCE)]
    etcd.change(*((device_key(name), device_value(name)) for name in names))
    mirror = Mirror(engine)
    at, listed = Checkpoint(etcd.cluster_id, etcd.revision), etcd.listed()
    mirror.relist(None, at, listed)
    calls = 0

    def write() -> None:
        nonlocal calls
        calls += 1
        for name in ("a", "z", f"{calls}"):  # before, behind and among what is summed
            mirror.apply(etcd.cluster_id, [etcd.change((device_key(name), device_value(name, os=str(calls))))])

    assert mirror.sums(write) == (at, add(Sums(), listed))
    assert calls == (0 if engine.dialect.name == "sqlite" else 2)
    assert mirror.sums() == (Checkpoint(etcd.cluster_id, etcd.revision), add(Sums(), etcd.listed()))


@pytest.mark.parametrize("column", ["key", "value", "mod_revision", "row"])
def test_what_somebody_did_to_an_entry_is_seen(engine: Engine, etcd: Etcd, column: str) -> None:
    mirror = Mirror(engine)
    mirror.relist(None, Checkpoint(etcd.cluster_id, etcd.revision), etcd.listed())
    changed = {"key": device_key("c"), "value": device_value("a", os="x"), "mod_revision": 7}
    with engine.begin() as connection:
        if column == "row":
            connection.execute(delete(entries).where(entries.c.key == device_key("a")))
        else:
            connection.execute(
                update(entries).where(entries.c.key == device_key("a")).values({column: changed[column]})
            )

    assert mirror.sums()[1] != add(Sums(), etcd.listed())


def test_malformed_keys_do_not_count() -> None:
    assert add(Sums(), [Entry(b"/Device/malformed", b"{}", 2)]) == Sums()
