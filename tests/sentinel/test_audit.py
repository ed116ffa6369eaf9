"""The audit finds exactly what somebody did to the tables, and nothing else."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, delete, insert, select, update

from fieldpipe.sentinel.audit import Drift, MirrorBehind, audit
from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.mirror import Checkpoint, Mirror
from fieldpipe.sentinel.rows import Name
from fieldpipe.sentinel.tables import TABLES, device, pod, primary_key
from tests.etcd_servers import RunningEtcd
from tests.sentinel.models import device_key, device_value, pod_key, pod_value, tables
from tests.servers import Store


@pytest.fixture
def client(etcd: RunningEtcd) -> Iterator[Etcd]:
    with Etcd(etcd.settings) as client:
        yield client


def mirrored(engine: Engine, client: Etcd) -> Mirror:
    """A mirror that stands for etcd as it is."""
    mirror = Mirror(engine, "remove")
    listing = client.snapshot()
    entries = [entry for page in listing.pages for entry in page]
    mirror.relist(mirror.checkpoint(), Checkpoint(listing.cluster_id, listing.revision), entries)
    return mirror


def filled(client: Etcd, count: int) -> None:
    client.transaction({device_key(f"d{n}"): device_value(f"d{n}") for n in range(count)})
    client.transaction({pod_key(f"p{n}"): pod_value(f"p{n}") for n in range(count)})


def test_a_mirror_that_is_right_has_no_drift(engine: Engine, client: Etcd) -> None:
    filled(client, 20)
    mirrored(engine, client)

    found = audit(engine, client, "remove")

    assert (found.drift, len(found.expected.rows)) == ((), 40)


def test_edits_deletions_and_additions_are_found_exactly_and_repaired(engine: Engine, client: Etcd) -> None:
    filled(client, 20)
    mirror = mirrored(engine, client)
    chance = random.Random(6)
    names = chance.sample(sorted(tables(engine)), 9)
    wanted = set()
    with engine.begin() as connection:
        for name in names[:5]:
            table = TABLES[name.kind]
            connection.execute(delete(table).where(table.c[primary_key(table)] == name.name))
            wanted.add(Drift("missing", name))
        for name in names[5:]:
            table = TABLES[name.kind]
            column = "os" if name.kind == "device" else "imageName"
            connection.execute(update(table).where(table.c[primary_key(table)] == name.name).values({column: "x"}))
            wanted.add(Drift("stale", name, column))
        connection.execute(insert(device).values(deviceName="ghost", deviceIp="x"))
        wanted.add(Drift("extra", Name("device", "ghost")))

    found = audit(engine, client, "remove")

    assert set(found.drift) == wanted
    assert len(found.drift) == len(wanted)
    mirror.repair([drift.name for drift in found.drift])
    assert audit(engine, client, "remove").drift == ()


def test_what_is_malformed_in_etcd_is_corrupt_and_says_why(engine: Engine, client: Etcd) -> None:
    filled(client, 2)
    client.put(device_key("bad"), b"{")
    client.put(b"/Pod/too/short", b"{}")
    mirrored(engine, client)

    found = audit(engine, client, "remove")

    assert [drift.found for drift in found.drift] == ["corrupt", "corrupt"]
    assert all("/Device/bad/0" in drift.what or "/Pod/too/short" in drift.what for drift in found.drift)


@pytest.mark.parametrize(("deletes", "drift"), [("remove", 1), ("mark", 1), ("keep", 0)])
def test_a_row_without_a_key_is_extra_unless_rows_are_kept(
    engine: Engine, client: Etcd, deletes: str, drift: int
) -> None:
    mirrored(engine, client)
    with engine.begin() as connection:
        connection.execute(insert(pod).values(podName="old", status="0"))

    assert len(audit(engine, client, deletes).drift) == drift


def test_a_row_that_was_marked_as_deleted_is_no_drift(engine: Engine, client: Etcd) -> None:
    filled(client, 1)
    mirror = mirrored(engine, client)
    marking = Mirror(engine, "mark")
    client.delete(device_key("d0"))
    listing = client.snapshot()
    entries = [entry for page in listing.pages for entry in page]
    marking.relist(mirror.checkpoint(), Checkpoint(listing.cluster_id, listing.revision), entries)

    assert audit(engine, client, "mark").drift == ()


def test_a_mirror_that_nobody_keeps_is_behind(engine: Engine, client: Etcd) -> None:
    mirrored(engine, client)
    client.put(device_key("new"), device_value("new"))

    with pytest.raises(MirrorBehind, match="etcd is at revision"):
        audit(engine, client, "remove", wait_seconds=0)


def test_the_script_reports_to_the_store_fails_and_repairs(
    engine: Engine, client: Etcd, etcd: RunningEtcd, sql_url: str, store: Store
) -> None:
    filled(client, 3)
    mirrored(engine, client)
    with engine.begin() as connection:
        connection.execute(update(device).values(os="edited"))
    environment = {
        **os.environ,
        **etcd.environment,
        **store.environment,
        "SENTINEL_URL": sql_url,
        "SENTINEL_DELETES": "remove",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "scripts.audit_sentinel", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    failed = run()
    revision = client.now().revision
    (table, document) = [
        info.key for info in store.client.list("processed-data", "sentinel/") if f"r{revision}" in info.key
    ]
    last = failed.stderr.splitlines()[-1]
    assert (failed.returncode, last) == (
        65,
        f"error: not as etcd says at revision {revision}: 3 stale (SENTINEL_DRIFT allows 0). "
        f"A run with repair writes such rows again. Report: processed-data/{table}",
    )
    assert store.client.get("processed-data", table, limit=10_000)[0].decode().count("stale,device,d") == 3
    assert json.loads(store.client.get("processed-data", document, limit=10_000)[0])["counts"]["stale"] == 3

    repaired = run("--repair", "--print")
    assert (repaired.returncode, repaired.stdout.count("stale")) == (0, 3)
    with engine.connect() as connection:
        assert "edited" not in connection.execute(select(device.c.os)).scalars().all()
