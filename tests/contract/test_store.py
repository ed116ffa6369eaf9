"""The contract of ObjectStore, held against every store at hand: SeaweedFS always, MinIO where `minio` is on PATH."""

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from fieldpipe.errors import ConfigurationError, PermanentError
from fieldpipe.events.lifecycle import Rule, rules_of, with_rules
from fieldpipe.settings import StoreSettings
from fieldpipe.store import (
    PART_SIZE,
    NotSupported,
    ObjectChanged,
    ObjectNotFound,
    ObjectStore,
    StoreUnavailable,
)
from tests.servers import Store

BUCKET = "processed-data"
HOSTILE = [
    "$(MINIO_SECRET_KEY)",
    "a b+c&d=e%2Ff?g#h",
    "日本語/ロボ🤖.mcap",
    "quote'\"`;rm -rf .mcap",
    "~[]^{}|<>*:.mcap",
    "%2e%2e/%252e",
    "tab\there",
    "ü" * 120,
    "-rf",
    "...",
]


@pytest.fixture(scope="module", params=["seaweedfs", pytest.param("minio", marks=pytest.mark.minio)])
def server(request: pytest.FixtureRequest) -> Store:
    """A store of each kind."""
    store: Store = request.getfixturevalue("store" if request.param == "seaweedfs" else "minio_store")
    return store


@pytest.fixture
def client(server: Store) -> ObjectStore:
    return server.client


@pytest.fixture
def folder() -> str:
    """A prefix that nobody else uses."""
    return f"contract-{uuid4().hex[:8]}"


def test_what_was_put_is_got(client: ObjectStore, folder: str) -> None:
    etag = client.put(BUCKET, f"{folder}/a", b"content")

    assert etag == hashlib.md5(b"content").hexdigest()
    assert client.get(BUCKET, f"{folder}/a", limit=100) == (b"content", etag)


def test_a_head_tells_size_etag_and_time(client: ObjectStore, folder: str) -> None:
    etag = client.put(BUCKET, f"{folder}/a", b"content")

    found = client.stat(BUCKET, f"{folder}/a")

    assert (found.bucket, found.key, found.size, found.etag) == (BUCKET, f"{folder}/a", 7, etag)
    assert found.modified is not None
    assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=1)


def test_a_read_is_bounded(client: ObjectStore, folder: str) -> None:
    client.put(BUCKET, f"{folder}/a", b"content")

    assert client.get(BUCKET, f"{folder}/a", limit=7)[0] == b"content"
    with pytest.raises(PermanentError, match="larger than the 6 bytes"):
        client.get(BUCKET, f"{folder}/a", limit=6)


@pytest.mark.parametrize("bucket", [BUCKET, "no-such-bucket"])
def test_what_is_not_there_is_not_found(bucket: str, client: ObjectStore, folder: str) -> None:
    with pytest.raises(ObjectNotFound):
        client.stat(bucket, f"{folder}/absent")
    with pytest.raises(ObjectNotFound):
        client.get(bucket, f"{folder}/absent", limit=10)
    with pytest.raises(ObjectNotFound):
        client.download(bucket, f"{folder}/absent", io.BytesIO(), etag="0" * 32)


def test_a_bucket_that_is_not_there_is_no_fault_of_what_is_written(client: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")

    with pytest.raises(StoreUnavailable, match="create it"):
        client.put("no-such-bucket", "a", b"x")
    with pytest.raises(StoreUnavailable, match="create it"):
        client.create("no-such-bucket", "a", b"x")
    with pytest.raises(StoreUnavailable, match="create it"):
        client.upload("no-such-bucket", "a", tmp_path / "file")


def test_a_download_is_of_the_version_that_was_asked_for(client: ObjectStore, folder: str) -> None:
    old = client.put(BUCKET, f"{folder}/a", b"old")
    file = io.BytesIO()

    found = client.download(BUCKET, f"{folder}/a", file, etag=old)
    client.put(BUCKET, f"{folder}/a", b"new")

    assert (file.getvalue(), found.size, found.etag) == (b"old", 3, old)
    assert found.modified is not None
    assert found.modified.utcoffset() == timedelta(0)
    with pytest.raises(ObjectChanged):
        client.download(BUCKET, f"{folder}/a", io.BytesIO(), etag=old)


def test_an_empty_object_is_an_object(client: ObjectStore, folder: str) -> None:
    etag = client.put(BUCKET, f"{folder}/empty", b"")
    file = io.BytesIO()

    assert client.download(BUCKET, f"{folder}/empty", file, etag=etag).size == 0
    assert client.stat(BUCKET, f"{folder}/empty").size == 0


def test_only_the_first_create_succeeds(client: ObjectStore, folder: str) -> None:
    assert client.create(BUCKET, f"{folder}/a", b"first")
    assert not client.create(BUCKET, f"{folder}/a", b"second")
    assert client.get(BUCKET, f"{folder}/a", limit=10)[0] == b"first"


def test_of_many_creates_at_once_one_succeeds(client: ObjectStore, folder: str) -> None:
    for attempt in range(5):
        key = f"{folder}/{attempt}"
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda n, key=key: client.create(BUCKET, key, b"%d" % n), range(8)))
        assert won.count(True) == 1
        assert client.get(BUCKET, key, limit=10)[0] == b"%d" % won.index(True)


def test_a_replacement_needs_the_etag_of_what_is_there(client: ObjectStore, folder: str) -> None:
    first = client.put(BUCKET, f"{folder}/a", b"1")

    assert client.replace(BUCKET, f"{folder}/a", b"2", etag=first)
    assert not client.replace(BUCKET, f"{folder}/a", b"3", etag=first)
    assert client.get(BUCKET, f"{folder}/a", limit=10)[0] == b"2"


def test_what_is_gone_cannot_be_replaced(client: ObjectStore, folder: str) -> None:
    etag = client.put(BUCKET, f"{folder}/a", b"1")
    client.delete(BUCKET, f"{folder}/a")

    assert not client.replace(BUCKET, f"{folder}/a", b"2", etag=etag)
    with pytest.raises(ObjectNotFound):
        client.stat(BUCKET, f"{folder}/a")


def test_of_many_replacements_at_once_one_succeeds(client: ObjectStore, folder: str) -> None:
    etag = client.put(BUCKET, f"{folder}/a", b"start")

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: client.replace(BUCKET, f"{folder}/a", b"%d" % n, etag=etag), range(8)))

    assert won.count(True) == 1
    assert client.get(BUCKET, f"{folder}/a", limit=10)[0] == b"%d" % won.index(True)


def test_deleting_what_is_not_there_is_no_error(client: ObjectStore, folder: str) -> None:
    client.delete(BUCKET, f"{folder}/absent")


@pytest.mark.parametrize("size", [0, 1000, PART_SIZE + 5])
def test_files_are_uploaded_whole_in_parts_or_not(size: int, client: ObjectStore, folder: str, tmp_path: Path) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    file = io.BytesIO()

    etag = client.upload(BUCKET, f"{folder}/file", tmp_path / "file", content_type="text/csv")

    assert client.download(BUCKET, f"{folder}/file", file, etag=etag).size == size
    assert file.getvalue() == content
    assert ("-" in etag) is (size > PART_SIZE)
    assert client.stat(BUCKET, f"{folder}/file").etag == etag


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_keys_are_keys_like_any_other(name: str, client: ObjectStore, folder: str) -> None:
    key = f"{folder}/{name}"

    etag = client.put(BUCKET, key, name.encode())

    assert client.get(BUCKET, key, limit=1000) == (name.encode(), etag)
    assert client.stat(BUCKET, key).etag == etag
    assert [found.key for found in client.list(BUCKET, folder + "/")] == [key]
    assert client.replace(BUCKET, key, b"new", etag=etag)
    client.delete(BUCKET, key)
    assert list(client.list(BUCKET, folder + "/")) == []


@pytest.mark.parametrize(("bucket", "key"), [("", "a"), ("No Bucket!", "a"), (BUCKET, ""), (BUCKET, "a\ud800")])
def test_names_that_no_store_can_have_are_permanent_errors(bucket: str, key: str, client: ObjectStore) -> None:
    with pytest.raises(PermanentError, match="cannot have such a name"):
        client.put(bucket, key, b"x")
    with pytest.raises(PermanentError, match="cannot have such a name"):
        client.stat(bucket, key)


def test_a_key_that_is_too_long_is_a_permanent_error(client: ObjectStore, folder: str) -> None:
    with pytest.raises(PermanentError, match="cannot have such a name"):
        client.put(BUCKET, f"{folder}/{'x' * 1100}", b"x")


@pytest.mark.parametrize("keys", [["one.jpg"], ["a/b+0+0000000042.jpg", "a/b+0+0000000042-timestamp.txt", "x" * 200]])
def test_objects_put_together_are_there_one_by_one(client: ObjectStore, folder: str, keys: list[str]) -> None:
    objects = {f"{folder}/{key}": os.urandom(size) for size, key in enumerate(keys, 1000)}
    client.put(BUCKET, f"{folder}/{keys[0]}", b"what was there before")

    client.put_all(BUCKET, objects)

    assert {key: client.get(BUCKET, key, limit=10_000)[0] for key in objects} == objects
    assert [info.key for info in client.list(BUCKET, f"{folder}/")] == sorted(objects)


def test_putting_together_leaves_nothing_else(client: ObjectStore, folder: str) -> None:
    before = {info.key for info in client.list(BUCKET) if info.key.startswith(("_probe/", "_archive/"))}

    client.put_all(BUCKET, {f"{folder}/a": b"1", f"{folder}/b": b"2"})

    assert {info.key for info in client.list(BUCKET) if info.key.startswith(("_probe/", "_archive/"))} <= before


def test_folders_are_listed_in_order_without_what_is_in_them(client: ObjectStore, folder: str) -> None:
    client.put_all(BUCKET, {f"{folder}/{name}": b"1" for name in ("b/1", "b/2", "a/x/1", "c")})

    assert list(client.folders(BUCKET, f"{folder}/")) == ["a/", "b/"]
    assert list(client.folders(BUCKET, f"{folder}/none/")) == []


@pytest.fixture(scope="module")
def many(server: Store) -> tuple[str, list[str]]:
    """More objects than one page of a listing holds, put in no order."""
    prefix = f"many-{uuid4().hex[:8]}/"
    names = sorted({f"{prefix}{n % 7}/{n * 7919 % 1100:05d}" for n in range(1100)})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: server.client.put(BUCKET, name, b"x"), reversed(names)))
    return prefix, names


def test_a_listing_goes_over_pages_in_key_order(client: ObjectStore, many: tuple[str, list[str]]) -> None:
    prefix, names = many

    found = list(client.list(BUCKET, prefix))

    assert [info.key for info in found] == names
    assert {(info.size, info.etag) for info in found} == {(1, hashlib.md5(b"x").hexdigest())}
    assert all(info.modified is not None and info.modified.utcoffset() == timedelta(0) for info in found)


def test_a_listing_goes_on_behind_a_key(client: ObjectStore, many: tuple[str, list[str]]) -> None:
    prefix, names = many

    assert [info.key for info in client.list(BUCKET, prefix, start_after=names[1050])] == names[1051:]


def test_a_listing_can_be_left_early(client: ObjectStore, many: tuple[str, list[str]]) -> None:
    prefix, names = many

    assert next(client.list(BUCKET, prefix)).key == names[0]


def test_a_prefix_is_no_folder(client: ObjectStore, folder: str) -> None:
    for name in ("ab/1", "abc/2", "b"):
        client.put(BUCKET, f"{folder}/{name}", b"")

    assert [info.key for info in client.list(BUCKET, f"{folder}/ab")] == [f"{folder}/ab/1", f"{folder}/abc/2"]
    assert list(client.list(BUCKET, f"{folder}/x")) == []


def test_listing_a_bucket_that_is_not_there_is_not_found(client: ObjectStore) -> None:
    with pytest.raises(ObjectNotFound):
        list(client.list("no-such-bucket"))


def test_buckets_are_created_once(client: ObjectStore) -> None:
    name = f"bucket-{uuid4().hex[:8]}"

    assert not client.bucket_exists(name)
    assert client.ensure_bucket(name)
    assert not client.ensure_bucket(name)
    assert client.bucket_exists(name)


def test_lifecycle_that_was_set_is_got(client: ObjectStore) -> None:
    name = f"bucket-{uuid4().hex[:8]}"
    client.ensure_bucket(name)
    assert client.lifecycle(name) is None

    client.set_lifecycle(name, with_rules(None, [Rule("fieldpipe-reports", "_runs/", 30)]))

    assert rules_of(client.lifecycle(name)) == {Rule("fieldpipe-reports", "_runs/", 30)}


def test_lifecycle_that_the_store_does_not_take_is_told_apart(client: ObjectStore) -> None:
    with pytest.raises(NotSupported):
        client.set_lifecycle(BUCKET, b"<LifecycleConfiguration><Rule>")


def test_lifecycle_of_a_bucket_that_is_not_there_is_not_found(client: ObjectStore) -> None:
    with pytest.raises(ObjectNotFound):
        client.lifecycle("no-such-bucket")


def test_conditional_writes_are_found_and_leave_no_trace(client: ObjectStore) -> None:
    before = list(client.list(BUCKET, "_probe/"))

    client.require_conditional_writes(BUCKET)

    assert list(client.list(BUCKET, "_probe/")) == before


def test_wrong_credentials_are_not_the_objects_fault(server: Store) -> None:
    stranger = ObjectStore.connect(server.settings.model_copy(update={"access_key": "nobody"}))

    with pytest.raises(StoreUnavailable):
        stranger.get(BUCKET, "a", limit=10)
    with pytest.raises(StoreUnavailable):
        stranger.put(BUCKET, "a", b"x")


def test_nobody_at_home_is_unavailable() -> None:
    settings = StoreSettings(endpoint="http://127.0.0.1:9", access_key="a", secret_key="b")  # type: ignore[arg-type]

    with pytest.raises(StoreUnavailable, match="stat bucket/k"):
        ObjectStore.connect(settings, retries=0).stat("bucket", "k")


@pytest.mark.parametrize("endpoint", ["minio:9000", "", "ftp://minio", "http://"])
def test_an_endpoint_that_is_no_url_is_a_configuration_error(endpoint: str) -> None:
    settings = StoreSettings(endpoint=endpoint, access_key="a", secret_key="b")  # type: ignore[arg-type]

    with pytest.raises(ConfigurationError, match="MINIO_ENDPOINT"):
        ObjectStore.connect(settings)
