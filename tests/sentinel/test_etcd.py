"""The client for etcd against real ones: snapshots at one revision, watches that lose nothing, and what goes wrong."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event, active_count
from typing import TypeVar

import grpc
import pytest
from pydantic import SecretStr
from pyetcd.etcdrpc import MaintenanceServicer, StatusResponse, WatchResponse, add_MaintenanceServicer_to_server

from fieldpipe.errors import ConfigurationError, PermanentError
from fieldpipe.local.etcd import TOKEN
from fieldpipe.sentinel import etcd as client
from fieldpipe.sentinel import keys
from fieldpipe.sentinel.etcd import ClusterChanged, Compacted, Conflict, Etcd, EtcdUnavailable, ListAgain, Watch
from fieldpipe.sentinel.keys import Changes, Entry, Progress
from fieldpipe.settings import EtcdSettings
from tests.cluster.pki import Authority
from tests.etcd_servers import RunningEtcd, Tls
from tests.waiting import eventually

Answer = TypeVar("Answer")

FOREIGN = "/Elsewhere/x"  # between our two prefixes


def connect(server: RunningEtcd, **settings: object) -> Etcd:
    return Etcd(server.settings.model_copy(update={"silence_seconds": 3.0} | settings))


@pytest.fixture
def etcd(any_etcd: RunningEtcd) -> Iterator[Etcd]:
    with connect(any_etcd) as opened:
        yield opened


@pytest.fixture
def own_etcd(etcd_factory: Callable[..., RunningEtcd], tmp_path: Path) -> RunningEtcd:
    return etcd_factory(tmp_path)


def device(number: int) -> bytes:
    return f"/Device/edge-{number:05d}/0".encode()


def listed(etcd: Etcd, revision: int = 0) -> list[Entry]:
    return [entry for page in etcd.snapshot(revision).pages for entry in page]


def changes(etcd: Etcd, after: int, count: int) -> list[Changes]:
    """The next changes after a revision; progress is left out."""
    with etcd.watch(after, etcd.now().cluster_id) as watch:
        return list(islice((each for each in watch if isinstance(each, Changes)), count))


def one(key: bytes, value: bytes | None, revision: int) -> Changes:
    return Changes(revision, (keys.Event(key, value, revision),))


# Snapshots


def test_all_pages_of_a_snapshot_are_of_one_revision(etcd: Etcd, any_etcd: RunningEtcd) -> None:
    revision = etcd.transaction({device(number): b"old" for number in range(1000)})

    snapshot = etcd.snapshot()
    pages = []
    for page in snapshot.pages:
        pages.append(page)
        etcd.transaction({device(number): b"new" for number in range(0, 1000, 100)}, [device(999)])

    assert snapshot[:2] == (revision, any_etcd.cluster_id)
    assert len(pages) > 1
    assert [entry for page in pages for entry in page] == [Entry(device(n), b"old", revision) for n in range(1000)]


def test_a_snapshot_can_be_of_the_past(etcd: Etcd) -> None:
    past = etcd.put(device(1), b"1")
    etcd.transaction({device(2): b"2"}, [device(1)])

    assert listed(etcd, past) == [Entry(device(1), b"1", past)]


def test_keys_of_others_are_in_no_snapshot(etcd: Etcd, any_etcd: RunningEtcd) -> None:
    revision = any_etcd.put("/Pod/edge/0/p", "ours")
    for key in ("/Devices/x", FOREIGN, "/Podx/a/0/p", "/Project/x", "a"):
        any_etcd.put(key, "theirs")

    assert listed(etcd) == [Entry(b"/Pod/edge/0/p", b"ours", revision)]


def test_pages_fit_into_messages_whatever_the_values_are(own_etcd: RunningEtcd) -> None:
    with connect(own_etcd) as etcd:
        values = {device(number): bytes([number]) * 1_000_000 for number in range(70)}
        for key, value in values.items():
            etcd.put(key, value)

        sizes = []
        for page in etcd.snapshot().pages:
            sizes.append(len(page))
            assert all(values.pop(entry.key) == entry.value for entry in page)

    assert values == {}
    assert max(sizes) <= client.MAX_MESSAGE // 1_000_000


def test_a_snapshot_of_what_etcd_has_forgotten_is_refused(etcd: Etcd, any_etcd: RunningEtcd) -> None:
    revision = etcd.put(device(1), b"1")
    etcd.put(device(1), b"2")
    any_etcd.compact(revision + 1)

    with pytest.raises(Compacted):
        etcd.snapshot(revision)


def test_a_snapshot_of_what_etcd_has_not_come_to_is_refused(etcd: Etcd) -> None:
    with pytest.raises(ClusterChanged):
        etcd.snapshot(etcd.now().revision + 100)


def test_compaction_between_two_pages_is_said(etcd: Etcd, any_etcd: RunningEtcd) -> None:
    etcd.transaction({device(number): b"x" for number in range(1000)})
    pages = etcd.snapshot().pages
    next(pages)
    any_etcd.compact(etcd.put(device(0), b"y"))

    with pytest.raises(Compacted):
        list(pages)


# Watches


def test_a_watch_gives_every_later_change_once_and_in_order(etcd: Etcd) -> None:
    after = etcd.put(device(0), b"before")
    early = [one(device(n), b"early", etcd.put(device(n), b"early")) for n in range(100)]
    with etcd.watch(after, etcd.now().cluster_id) as watch:
        updates = (each for each in watch if isinstance(each, Changes))
        assert list(islice(updates, 100)) == early

        late = [one(device(n), b"late", etcd.put(device(n), b"late")) for n in range(100)]
        assert list(islice(updates, 100)) == late


@pytest.mark.parametrize("behind", [True, False], ids=["from the past", "live"])
def test_a_transaction_is_one_update(etcd: Etcd, behind: bool) -> None:
    after = etcd.put(device(0), b"")
    large = {device(number): bytes([number % 256]) * 4096 for number in range(500)}  # 2 MB

    if behind:
        revision = etcd.transaction(large, [b"/Pod/none/0/none"])
        (found,) = changes(etcd, after, 1)
    else:
        with etcd.watch(after, etcd.now().cluster_id) as watch:
            revision = etcd.transaction(large, [b"/Pod/none/0/none"])
            found = next(each for each in watch if isinstance(each, Changes))

    assert found.revision == revision
    assert {event.key: event.value for event in found.events} == large
    assert len(found.events) == 500
    assert {event.mod_revision for event in found.events} == {revision}


def test_devices_and_pods_of_a_transaction_are_one_update(etcd: Etcd) -> None:
    after = etcd.put(device(0), b"")
    revision = etcd.transaction({device(1): b"d", b"/Pod/edge/0/p": b"p"}, [device(0)])

    (found,) = changes(etcd, after, 1)

    assert found.revision == revision
    assert set(found.events) == {
        keys.Event(device(0), None, revision),
        keys.Event(device(1), b"d", revision),
        keys.Event(b"/Pod/edge/0/p", b"p", revision),
    }


def test_deletions_and_leases_that_end_are_changes(etcd: Etcd, any_etcd: RunningEtcd) -> None:
    lease = any_etcd.grant(4)
    any_etcd.put("/Device/leased/0", "x", lease)
    after = etcd.put(device(1), b"1")
    deleted = etcd.delete(device(1))

    first, second = changes(etcd, after, 2)

    assert first == one(device(1), None, deleted)
    assert second == one(b"/Device/leased/0", None, deleted + 1)


def test_changes_of_others_are_progress(etcd: Etcd, any_etcd: RunningEtcd) -> None:
    after = any_etcd.put("/Device/a/0", "x")
    foreign = any_etcd.put(FOREIGN, "x")
    ours = any_etcd.put("/Device/a/0", "y")

    with etcd.watch(after, any_etcd.cluster_id) as watch:
        assert list(islice(watch, 2)) == [Progress(foreign), one(b"/Device/a/0", b"y", ours)]


def test_a_watch_that_etcd_has_forgotten_the_beginning_of_is_refused(etcd: Etcd, any_etcd: RunningEtcd) -> None:
    after = etcd.put(device(1), b"1")
    etcd.delete(device(1))
    any_etcd.compact(etcd.put(device(2), b"2"))

    with etcd.watch(after, any_etcd.cluster_id) as watch, pytest.raises(Compacted):
        next(iter(watch))


def test_a_deletion_exactly_where_etcd_was_compacted_is_not_lost(etcd: Etcd, any_etcd: RunningEtcd) -> None:
    after = etcd.put(device(1), b"1")
    any_etcd.compact(etcd.delete(device(1)))
    etcd.put(device(2), b"2")

    with etcd.watch(after, any_etcd.cluster_id) as watch, pytest.raises(Compacted):
        next(iter(watch))


def test_a_watch_goes_on_from_the_revision_that_etcd_was_compacted_at(etcd: Etcd, any_etcd: RunningEtcd) -> None:
    after = etcd.put(device(1), b"1")
    any_etcd.compact(after)
    revision = etcd.delete(device(1))

    assert changes(etcd, after, 1) == [one(device(1), None, revision)]


def test_progress_of_the_server_moves_a_watch_on_without_changes(etcd: Etcd, any_etcd: RunningEtcd) -> None:
    after = any_etcd.put("/Device/a/0", "x")
    with etcd.watch(after, any_etcd.cluster_id) as watch:
        foreign = any_etcd.put("zzz", "outside of the watched range")

        assert next(iter(watch)) == Progress(foreign)


@dataclass
class Told:
    """An etcd that answers a watch from a list."""

    answers: Sequence[WatchResponse]
    sure: bool
    address: str = "told:1"
    silence_seconds: float = 3.0

    def progress_is_sure(self) -> bool:
        return self.sure

    def open_watch(self, after: int, beats: Iterator[None]) -> tuple[Iterator[WatchResponse], Callable[[], None]]:
        ended = Event()

        def answers() -> Iterator[WatchResponse]:
            yield from self.answers
            ended.wait()

        return answers(), ended.set


@pytest.mark.parametrize(("sure", "expected"), [(True, [Progress(7)]), (False, [])])
def test_an_answer_that_may_overtake_changes_is_no_progress(sure: bool, expected: list[Progress]) -> None:
    asked = WatchResponse(header={"cluster_id": 12, "revision": 7}, watch_id=-1)

    with Watch(Told([asked], sure), 5, "c") as watch:
        assert watch.take() == expected


def test_both_servers_are_too_old_for_sure_answers(etcd: Etcd) -> None:
    assert not etcd.progress_is_sure()


class Version(MaintenanceServicer):
    """An etcd that tells its version, or does not."""

    def __init__(self, version: str | None) -> None:
        self._version = version

    def Status(self, request: object, context: grpc.ServicerContext) -> StatusResponse:
        if self._version is None:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "etcdserver: permission denied")
        return StatusResponse(version=self._version)


@pytest.mark.parametrize(
    ("version", "sure"),
    [
        *(("3.3.27", False), ("3.4.3", False), ("3.4.24", False), ("3.4.25", True), ("3.5.0", False), ("3.5.7", False)),
        *(("3.5.8", True), ("3.5.21", True), ("3.6.0", True), ("3.7.0-alpha.0", True), ("4.0.0", True)),
        *(("", False), (None, False)),
    ],
)
def test_answers_are_sure_from_some_versions_on(version: str | None, sure: bool) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    add_MaintenanceServicer_to_server(Version(version), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Etcd(EtcdSettings(host="127.0.0.1", port=port)) as etcd:
            assert etcd.progress_is_sure() is sure
    finally:
        server.stop(None).wait()


def test_an_answer_of_another_cluster_ends_the_watch() -> None:
    other = WatchResponse(header={"cluster_id": 13, "revision": 7})

    with Watch(Told([other], True), 5, "c") as watch, pytest.raises(ClusterChanged):
        watch.take()


def test_more_changes_at_once_than_a_message_holds_are_to_be_listed(own_etcd: RunningEtcd) -> None:
    with connect(own_etcd) as etcd:
        after = etcd.put(device(1), b"1")
        for _ in range(70):
            etcd.put(device(1), b"x" * 1_000_000)

        with etcd.watch(after, own_etcd.cluster_id) as watch, pytest.raises(ListAgain):
            next(iter(watch))


def test_what_is_not_taken_waits_in_etcd(etcd: Etcd, any_etcd: RunningEtcd) -> None:
    after = any_etcd.put("/Device/a/0", "x")
    with etcd.watch(after, any_etcd.cluster_id) as watch:
        revisions = [etcd.put(device(n), b"x" * 1_000_000) for n in range(25)]
        found = list(islice((each for each in watch if isinstance(each, Changes)), 25))

    assert [each.revision for each in found] == revisions


def test_a_closed_watch_leaves_no_thread(etcd: Etcd, any_etcd: RunningEtcd) -> None:
    revision = etcd.put(device(1), b"1")
    threads = active_count()
    for _ in range(20):
        with etcd.watch(revision, any_etcd.cluster_id):
            pass

    eventually(lambda: active_count() <= threads)


# What goes wrong


def test_nobody_there_is_said_at_once() -> None:
    with Etcd(EtcdSettings(host="127.0.0.1", port=1)) as etcd, pytest.raises(EtcdUnavailable, match=r"127\.0\.0\.1:1"):
        etcd.snapshot()


def test_a_killed_server_ends_the_watch_and_the_same_client_goes_on(own_etcd: RunningEtcd) -> None:
    with connect(own_etcd) as etcd:
        after = etcd.put(device(1), b"1")
        with etcd.watch(after, own_etcd.cluster_id) as watch:
            watch.take()
            own_etcd.kill()
            with pytest.raises(EtcdUnavailable):
                for _ in watch:
                    pass
        own_etcd.start()

        revision = eventually(lambda: patient(lambda: etcd.put(device(2), b"2")))
        assert changes(etcd, after, 1) == [one(device(2), b"2", revision)]


def test_a_server_that_hangs_is_noticed(any_etcd: RunningEtcd) -> None:
    with connect(any_etcd, silence_seconds=2.0) as etcd:
        after = etcd.put(device(1), b"1")
        with etcd.watch(after, any_etcd.cluster_id) as watch:
            watch.take()
            with any_etcd.suspended():
                begin = time.monotonic()
                with pytest.raises(EtcdUnavailable, match="silent for 2 s"):
                    for _ in watch:
                        pass
                with pytest.raises(EtcdUnavailable):
                    etcd.now()
                assert 3 < time.monotonic() - begin < 20


def test_an_idle_server_is_not_taken_for_one_that_hangs(any_etcd: RunningEtcd) -> None:
    with connect(any_etcd, silence_seconds=2.0) as etcd:
        after = etcd.put(device(1), b"1")
        with etcd.watch(after, any_etcd.cluster_id) as watch:
            begin = time.monotonic()
            while time.monotonic() - begin < 5:
                watch.take()


@pytest.mark.parametrize("token", ["another", TOKEN], ids=["another cluster id", "the same cluster id"])
def test_an_etcd_from_a_backup_is_recognised(own_etcd: RunningEtcd, tmp_path: Path, token: str) -> None:
    with connect(own_etcd) as etcd:
        etcd.put(device(1), b"1")
        own_etcd.snapshot(tmp_path / "backup")
        at = etcd.now()
        after = etcd.put(device(2), b"2")
        own_etcd.restore(tmp_path / "backup", token)

        now = eventually(lambda: patient(etcd.now))
        assert (now.cluster_id == at.cluster_id) is (token == TOKEN)
        assert now.revision == at.revision < after
        with pytest.raises(ClusterChanged):
            etcd.watch(after, at.cluster_id)


def test_a_transaction_that_depends_on_what_was_read(etcd: Etcd) -> None:
    revision = etcd.put(device(1), b"1")
    found = etcd.get(device(1))
    assert found == Entry(device(1), b"1", revision)
    assert etcd.get(device(2)) is None

    moved = etcd.transaction({device(2): b"1"}, [device(1)], {device(1): revision, device(2): 0})
    with pytest.raises(Conflict):
        etcd.transaction({device(3): b"1"}, [], {device(1): revision})

    assert listed(etcd) == [Entry(device(2), b"1", moved)]


def test_a_value_that_etcd_does_not_take_is_a_permanent_error(etcd: Etcd) -> None:
    with pytest.raises(PermanentError, match="larger than max"):
        etcd.put(device(1), b"x" * (20 * 1024 * 1024))


# Who may


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    authority = Authority.create(tmp_path / "pki")
    authority.issue("server", "etcd", hosts=["127.0.0.1"])
    authority.issue("client", "sentinel")
    files = ("ca.crt", "server.crt", "server.key", "client.crt", "client.key")
    return Tls(*(authority.file(name) for name in files))


def test_tls_with_certificates_and_a_password(
    etcd_factory: Callable[..., RunningEtcd], tmp_path: Path, tls: Tls
) -> None:
    server = etcd_factory(tmp_path, tls)
    for command in (
        "user add root:secret",
        "user grant-role root root",
        "role add sentinel",
        "role grant-permission sentinel readwrite /Device/ /Pod0",
        "user add mirror:pass-word",
        "user grant-role mirror sentinel",
        "user add nobody:pass-word",
        "auth enable",
    ):
        server.ctl(*command.split())
    mirror = {"user": "mirror", "password": SecretStr("pass-word")}

    with connect(server, **mirror) as etcd:
        revision = etcd.put(device(1), b"1")
        assert listed(etcd) == [Entry(device(1), b"1", revision)]
        assert changes(etcd, revision - 1, 1) == [one(device(1), b"1", revision)]

        server.ctl("--user=root:secret", "user", "add", "later:x")  # what etcd gave us before is void
        assert eventually(lambda: patient(lambda: listed(etcd))) == [Entry(device(1), b"1", revision)]

    for wrong, problem in (
        (mirror | {"password": SecretStr("wrong")}, "authentication failed"),
        (mirror | {"user": "nobody"}, "permission denied"),
        ({}, "permission denied"),  # etcd takes the name in our certificate, which is no user's
    ):
        with connect(server, **wrong) as etcd, pytest.raises(ConfigurationError, match=problem):
            etcd.snapshot()
    with connect(server, **mirror, cert=None, key=None) as etcd, pytest.raises(EtcdUnavailable):
        etcd.snapshot()


@pytest.mark.parametrize(
    "settings", [{}, {"host": "h", "user": "u"}, {"host": "h", "cert": "c"}, {"host": "h", "ca": "no"}]
)
def test_settings_that_are_incomplete_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="MY_ETCD_"):
        Etcd(EtcdSettings(**settings))


def patient(call: Callable[[], Answer]) -> Answer | None:
    """What it says; None while etcd is not available."""
    try:
        return call()
    except EtcdUnavailable:
        return None
