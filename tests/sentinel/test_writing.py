"""Keys as their writers put them: the layout, one revision for a call, and nobody else's change is lost."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from fieldpipe.sentinel.etcd import Conflict, Etcd
from fieldpipe.sentinel.keys import STOPPED, BadEntry, parse
from fieldpipe.sentinel.rows import Name, rows_of
from fieldpipe.sentinel.writing import NotThere, Subject, delete, find, move, put, subject
from tests.etcd_servers import RunningEtcd
from tests.stacks import PROJECT

THEN, NOW = datetime(2026, 1, 2, 3, 4, 5), datetime(2026, 1, 2, 3, 5)
ADDRESS = {"deviceIp": "10.0.0.1"}


class Disturbed(Etcd):
    """Somebody else writes just before each of our transactions, as long as there is something to write."""

    disturb: Callable[[], object] = staticmethod(lambda: None)

    def transaction(self, *arguments: Any, **named: Any) -> int:
        self.disturb()
        return super().transaction(*arguments, **named)


@pytest.fixture
def client(etcd: RunningEtcd) -> Iterator[Disturbed]:
    with Disturbed(etcd.settings) as client:
        yield client


def keys(client: Etcd) -> dict[str, Any]:
    """All of etcd: values by key."""
    return {e.key.decode(): json.loads(e.value) for page in client.snapshot().pages for e in page}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("edge", b"/Device/edge/0"),
        ("0abc", b"/Device/0abc/0"),
        ("edge/1job", b"/Pod/edge/0/1job"),
        ("機器/0", "/Pod/機器/0/0".encode()),
    ],
)
def test_a_name_with_a_slash_is_a_pod(text: str, key: bytes) -> None:
    found = subject(text)

    assert (found.key("0"), str(found)) == (key, text)


@pytest.mark.parametrize("text", ["", "/", "edge/", "/camera", "a/b/c", "edge ", "a\0b", "x" * 256, "\udcff"])
def test_names_that_the_watcher_would_refuse_are_refused(text: str) -> None:
    with pytest.raises(BadEntry):
        subject(text)


def test_what_is_put_is_what_the_watcher_reads(client: Disturbed) -> None:
    put(client, subject("edge"), ADDRESS | {"os": "Ubuntu", "mac": "00:11"}, THEN)
    put(client, subject("edge/camera"), {"imageName": "camera"}, THEN, STOPPED)

    assert keys(client) == {
        "/Device/edge/0": {
            "deviceName": "edge",
            "deviceIp": "10.0.0.1",
            "connectionStatus": "0",
            "os": "Ubuntu",
            "mac": "00:11",
            "updateAt": "2026-01-02 03:04:05",
        },
        "/Pod/edge/1/camera": {
            "podName": "camera",
            "deviceNameFk": "edge",
            "imageName": "camera",
            "status": "1",
            "updateAt": "2026-01-02 03:04:05",
        },
    }
    found = rows_of(entry for page in client.snapshot().pages for entry in page)
    assert (found.rows.keys(), found.corrupt) == ({Name("device", "edge"), Name("pod", "camera")}, {})


def test_a_put_leaves_one_key_in_one_revision(client: Disturbed) -> None:
    stopped = put(client, subject("edge"), ADDRESS, THEN, STOPPED)

    alive = put(client, subject("edge"), ADDRESS, NOW)

    assert (list(keys(client)), alive) == (["/Device/edge/0"], stopped + 1)


@pytest.mark.parametrize("fields", [{}, ADDRESS | {"connectionStatus": "2"}, ADDRESS | {"deviceName": "other"}])
def test_a_value_that_the_watcher_would_refuse_is_not_written(fields: dict[str, str], client: Disturbed) -> None:
    with pytest.raises(BadEntry, match="/Device/edge/0"):
        put(client, subject("edge"), fields, NOW)

    assert keys(client) == {}


@pytest.mark.parametrize("name", ["edge", "0abc", "0", "1"])
def test_a_move_takes_the_status_and_the_time_and_leaves_the_rest(name: str, client: Disturbed) -> None:
    device, pod = Subject(name), Subject(name, "1job")
    put(client, device, ADDRESS | {"mac": "00:11"}, THEN)
    written = put(client, pod, {"imageName": "camera"}, THEN)
    before = keys(client)

    moved = move(client, [device, pod], STOPPED, NOW)

    assert moved == written + 1
    assert keys(client) == {
        f"/Device/{name}/1": before[f"/Device/{name}/0"] | {"connectionStatus": "1", "updateAt": "2026-01-02 03:05:00"},
        f"/Pod/{name}/1/1job": before[f"/Pod/{name}/0/1job"] | {"status": "1", "updateAt": "2026-01-02 03:05:00"},
    }
    move(client, [device, pod], "0", THEN)
    assert keys(client) == before


def test_a_move_to_where_it_stands_writes_nothing(client: Disturbed) -> None:
    put(client, subject("edge"), ADDRESS, THEN)
    before = client.now()

    assert move(client, [subject("edge")], "0", NOW) is None
    assert client.now() == before


def test_of_two_keys_the_newest_is_moved_and_the_other_goes(client: Disturbed) -> None:
    for status, system in (("1", "old"), ("0", "new")):
        value = {"deviceName": "edge", "os": system, **ADDRESS}
        client.put(Subject("edge").key(status), json.dumps(value).encode())

    move(client, [subject("edge")], "0", NOW)

    assert {key: value["os"] for key, value in keys(client).items()} == {"/Device/edge/0": "new"}


def test_what_somebody_changes_meanwhile_is_moved_as_it_is_then(client: Disturbed, etcd: RunningEtcd) -> None:
    put(client, subject("edge"), ADDRESS | {"os": "old"}, THEN)
    theirs = iter([json.dumps({"deviceName": "edge", "os": "new", **ADDRESS})])
    client.disturb = lambda: [etcd.put("/Device/edge/0", value) for value in theirs]

    move(client, [subject("edge")], STOPPED, NOW)

    (entry,) = find(client, subject("edge"))
    assert (entry.key, parse(entry).os) == (b"/Device/edge/1", "new")  # type: ignore[union-attr]


def test_what_appears_meanwhile_where_it_moves_to_is_not_overwritten_unseen(
    client: Disturbed, etcd: RunningEtcd
) -> None:
    put(client, subject("edge"), ADDRESS | {"os": "old"}, THEN)
    theirs = iter([json.dumps({"deviceName": "edge", "os": "new", **ADDRESS})])
    client.disturb = lambda: [etcd.put("/Device/edge/1", value) for value in theirs]

    move(client, [subject("edge")], STOPPED, NOW)

    assert {key: value["os"] for key, value in keys(client).items()} == {"/Device/edge/1": "new"}


def test_a_move_that_never_gets_its_turn_is_refused(client: Disturbed, etcd: RunningEtcd) -> None:
    put(client, subject("edge"), ADDRESS, THEN)
    value = json.dumps({"deviceName": "edge", **ADDRESS})
    client.disturb = lambda: etcd.put("/Device/edge/0", value)

    with pytest.raises(Conflict, match="/Device/edge/0"):
        move(client, [subject("edge")], STOPPED, NOW)

    assert list(keys(client)) == ["/Device/edge/0"]


def test_a_value_that_is_no_object_is_not_moved(client: Disturbed) -> None:
    client.put(b"/Device/edge/0", b"[]")

    with pytest.raises(BadEntry, match="no JSON object"):
        move(client, [subject("edge")], STOPPED, NOW)


def test_both_keys_are_deleted_in_one_revision(client: Disturbed) -> None:
    put(client, subject("other"), ADDRESS, THEN)
    for status in "01":
        client.put(Subject("edge").key(status), json.dumps(ADDRESS).encode())
    before = client.now().revision

    assert delete(client, [subject("edge")]) == before + 1
    assert list(keys(client)) == ["/Device/other/0"]


@pytest.mark.parametrize(
    "change",
    [
        lambda client, names: delete(client, names),
        lambda client, names: move(client, names, STOPPED, NOW),
    ],
)
def test_of_what_is_not_all_there_nothing_changes(change: Callable[..., object], client: Disturbed) -> None:
    put(client, subject("edge"), ADDRESS, THEN)

    with pytest.raises(NotThere, match="edge/camera: etcd has neither /Pod/edge/0/camera nor /Pod/edge/1/camera"):
        change(client, [subject("edge"), subject("edge/camera")])

    assert list(keys(client)) == ["/Device/edge/0"]


def test_the_script_does_what_it_is_told_and_says_why_not(etcd: RunningEtcd) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "scripts.sentinel", *arguments]
        environment = {**os.environ, **etcd.environment, "SENTINEL_ZONE": "UTC"}
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, (done.stdout + done.stderr).strip()

    assert run("put", "edge", "deviceIp=10.0.0.1", "os=a=b")[0] == 0
    assert run("move", "edge", "1")[0] == 0
    code, shown = run("list")
    key, _, value = shown.partition(" ")
    said = json.loads(value)
    assert (code, key, said["os"], said["connectionStatus"]) == (0, "/Device/edge/1", "a=b", "1")
    assert run("delete", "0abc") == (65, "error: 0abc: etcd has neither /Device/0abc/0 nor /Device/0abc/1")
