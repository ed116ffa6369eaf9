"""Recordings in the object store, read by ranges (the facts' rule 14)."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from mcap.writer import CompressionType

from fieldpipe.handover import PIPELINE_VERSION, Outcome, Report, WorkItem, report_key, result_prefix
from fieldpipe.recordings import objectreader
from fieldpipe.recordings.batch import Run, convert_batch
from fieldpipe.recordings.convert import convert_from
from fieldpipe.recordings.objectreader import ObjectReader
from fieldpipe.recordings.options import DEFAULT, Options
from fieldpipe.recordings.single import check_location, convert_location
from fieldpipe.store import ObjectChanged, ObjectInfo, StoreUnavailable
from tests.builders import MILLISECOND, START, Channel, csv_recording, mcap, robot_recording
from tests.servers import Store
from tests.unit.recordings.conftest import Convert

RAW, PROCESSED = "raw-data", "processed-data"
LIMIT = 10 * 1024 * 1024
PAYLOAD = 100_000  # bytes
TOPICS = Channel("/first", "octets"), Channel("/second", "octets")

Put = Callable[[bytes], ObjectInfo]


@pytest.fixture(autouse=True)
def nothing_is_fetched_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectreader, "WHOLE", 0)


@pytest.fixture
def put(store: Store) -> Put:
    """Puts a recording into the session's store, under a key of its own."""

    def put(content: bytes) -> ObjectInfo:
        key = f"ranges-{uuid4().hex[:8]}/a.mcap"
        store.client.put(RAW, key, content)
        return store.client.stat(RAW, key)

    return put


def halves() -> bytes:
    """12 MB: two topics, one after the other, 60 messages each, three in a chunk."""
    payloads = [(topic, bytes([number]) * PAYLOAD) for topic in TOPICS for number in range(60)]
    messages = [(topic, START + at * MILLISECOND, payload) for at, (topic, payload) in enumerate(payloads)]
    return mcap(messages, chunk_size=3 * PAYLOAD, compression=CompressionType.NONE)


def fetched(found: ObjectInfo, store: Store, folder: Path, options: Options = DEFAULT) -> tuple[int, int]:
    """How many bytes a conversion asked the store for, and how many payloads it kept."""
    folder.mkdir()
    with ObjectReader(store.client, found) as reader:
        conversion = convert_from(reader, folder, processed_at="", options=options)
    return reader.fetched, sum(output.rows for output in conversion.outputs if output.kind == "raw")


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_an_object_converts_as_a_file_does(
    workers: int, put: Put, store: Store, convert: Convert, tmp_path: Path
) -> None:
    content = robot_recording(seconds=9)
    found, target = put(content), tmp_path / "out"

    options = Options(workers=workers)
    made = convert_location(f"s3://{RAW}/{found.key}", str(target), lambda: store.client, options).manifest

    local = convert(content)
    assert made["source"] == {"bucket": RAW, "key": found.key, "etag": found.etag, "size": len(content)}
    assert {**made, "source": {}} == {**local.manifest, "source": {}}
    assert all((target / name).read_bytes() == found for name, found in local.files.items())


def test_every_byte_is_fetched_about_once(put: Put, store: Store, tmp_path: Path) -> None:
    content = halves()

    size, rows = fetched(put(content), store, tmp_path / "out")

    assert rows == 120
    assert len(content) <= size <= 1.1 * len(content)


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (Options(topics=("/second",)), 60),
        (Options(start=START + 90 * MILLISECOND), 30),
        (Options(end=START + 30 * MILLISECOND), 30),
        (Options(start=START + 30 * MILLISECOND, end=START + 40 * MILLISECOND), 10),
        (Options(topics=("/nothing",)), 0),
    ],
)
def test_what_nobody_asked_for_is_not_fetched(
    options: Options, rows: int, put: Put, store: Store, tmp_path: Path
) -> None:
    size, found = fetched(put(halves()), store, tmp_path / "out", options)

    assert found == rows
    assert size <= (rows + 6) * PAYLOAD + 100_000


def test_a_cut_off_object_gives_every_complete_message(put: Put, store: Store, tmp_path: Path) -> None:
    content = halves()

    _, rows = fetched(put(content[: len(content) // 2]), store, tmp_path / "out")

    assert 55 <= rows <= 60


def test_csv_text_is_read_by_ranges_too(put: Put, store: Store, convert: Convert, tmp_path: Path) -> None:
    found = put(csv_recording(rows=100))

    made = convert_location(f"s3://{RAW}/{found.key}", str(tmp_path / "out"), lambda: store.client)

    assert (made.manifest["kind"], made.manifest["totals"]["rows"]) == ("csv", 100)


def test_the_health_of_an_object_can_be_looked_at(put: Put, store: Store) -> None:
    found = put(robot_recording(seconds=2))

    assert check_location(f"s3://{RAW}/{found.key}", lambda: store.client).is_healthy


def test_an_object_that_is_replaced_while_it_is_read_is_superseded(put: Put, store: Store, tmp_path: Path) -> None:
    found = put(halves())

    with ObjectReader(store.client, found) as reader:
        store.client.put(RAW, found.key, b"something else")
        with pytest.raises(ObjectChanged):
            convert_from(reader, tmp_path, processed_at="")


def test_a_pod_converts_large_objects_by_ranges(put: Put, store: Store) -> None:
    found = put(robot_recording(seconds=2))
    run = Run(store.client, PROCESSED, f"fp.{uuid4().hex}", 1)

    code = convert_batch([WorkItem(RAW, found.key, found.etag, 1), WorkItem(RAW, found.key, "0" * 32, 2)], run)

    reports = [
        Report.from_json(store.client.get(PROCESSED, report_key(run.run_id, n, 1), limit=LIMIT)[0]) for n in (1, 2)
    ]
    assert code == 0
    assert [report.outcome for report in reports] == [Outcome.CONVERTED, Outcome.SUPERSEDED]
    prefix = result_prefix(found.key, found.etag, PIPELINE_VERSION)
    assert len(list(store.client.list(PROCESSED, prefix))) == 6 + 20 + 1


def test_a_store_that_goes_away_is_transient(store_factory: Callable[[Path], Store], tmp_path: Path) -> None:
    own = store_factory(tmp_path)
    own.client.put(RAW, "a.mcap", halves())
    found = own.client.stat(RAW, "a.mcap")

    with ObjectReader(type(own.client).connect(own.settings, retries=0), found) as reader:
        own.stop()
        with pytest.raises(StoreUnavailable):
            convert_from(reader, tmp_path, processed_at="")
