"""A run's objects against a real object store: results, manifests, reports, exit codes."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from fieldpipe.crashpoints import VARIABLE as CRASH_AT
from fieldpipe.handover import (
    MANIFEST,
    PIPELINE_VERSION,
    RUN_VARIABLE,
    TRY_VARIABLE,
    WORK_VARIABLE,
    Outcome,
    Report,
    WorkItem,
    encode_work,
    latest_key,
    report_key,
    result_prefix,
)
from fieldpipe.recordings.batch import Run, convert_batch
from fieldpipe.recordings.convert import Source
from fieldpipe.recordings.latest import update_latest
from fieldpipe.store import ObjectNotFound, ObjectStore
from tests.builders import csv_recording, robot_recording, small_recording
from tests.servers import Store

RAW, PROCESSED = "raw-data", "processed-data"
LIMIT = 10 * 1024 * 1024


@pytest.fixture
def room(store: Store) -> "Room":
    """A corner of the session's store that nobody else uses."""
    return Room(store, f"batch-{uuid4().hex[:8]}")


class Room:
    def __init__(self, store: Store, folder: str) -> None:
        self.store = store
        self.client: ObjectStore = store.client
        self.folder = folder
        self.run_id = f"fp.{folder}"

    def put(self, name: str, content: bytes, item_id: int | None = 1) -> WorkItem:
        key = f"{self.folder}/{name}"
        return WorkItem(RAW, key, self.client.put(RAW, key, content), item_id, received="2026-01-02T03:04:05.000000Z")

    def convert(self, *items: WorkItem, attempt: int = 1) -> int:
        return convert_batch(list(items), Run(self.client, PROCESSED, self.run_id, attempt))

    def convert_as_a_pod(self, *items: WorkItem, crash_at: str = "") -> subprocess.Popen[str]:
        environment = {
            **self.store.environment,
            RUN_VARIABLE: self.run_id,
            TRY_VARIABLE: "1",
            WORK_VARIABLE: encode_work(list(items)),
            CRASH_AT: crash_at,
            "PATH": os.environ["PATH"],
        }
        command = [sys.executable, "-m", "scripts.convert_recording", "--batch"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def report(self, item: WorkItem, attempt: int = 1) -> Report:
        return Report.from_json(self.read(report_key(self.run_id, item.id, attempt)))

    def results(self, item: WorkItem) -> dict[str, bytes]:
        assert item.etag
        prefix = result_prefix(item.key, item.etag, PIPELINE_VERSION)
        return {found.key.removeprefix(prefix): self.read(found.key) for found in self.client.list(PROCESSED, prefix)}

    def read(self, key: str) -> bytes:
        return self.client.get(PROCESSED, key, limit=LIMIT)[0]

    def latest(self, item: WorkItem) -> str:
        return str(json.loads(self.read(latest_key(item.key)))["etag"])


def test_an_object_gets_tables_a_manifest_a_report_and_is_the_latest(room: Room) -> None:
    item = room.put("run1.mcap", small_recording(1))

    assert room.convert(item) == 0

    results = room.results(item)
    manifest = json.loads(results[MANIFEST])
    prefix = result_prefix(item.key, item.etag or "", PIPELINE_VERSION)
    assert sorted(results) == [MANIFEST, "numbers.csv"]
    assert manifest["source"]["etag"] == item.etag
    assert manifest["outputs"][0]["sha256"] == hashlib.sha256(results["numbers.csv"]).hexdigest()
    assert room.report(item) == Report(Outcome.CONVERTED, "", prefix + MANIFEST)
    latest = json.loads(room.read(latest_key(item.key)))
    assert (latest["manifest"], latest["etag"], latest["pipeline_version"]) == (
        prefix + MANIFEST,
        item.etag,
        PIPELINE_VERSION,
    )


def test_pictures_lie_beside_their_index(room: Room) -> None:
    item = room.put("robot.mcap", robot_recording(seconds=0.5))

    assert room.convert(item) == 0

    results = room.results(item)
    index = [line.split(",")[6] for line in results["camera__image__compressed.csv"].decode().splitlines()[1:]]
    assert len(index) == 5
    assert set(index) <= set(results)


def test_every_object_of_a_run_has_its_own_outcome(room: Room) -> None:
    good = room.put("good.mcap", small_recording(2), 1)
    bad = room.put("bad.mcap", b"no recording at all", 2)
    gone = WorkItem(RAW, f"{room.folder}/gone.mcap", "0" * 32, 3)
    changed = WorkItem(RAW, good.key, "0" * 32, 4)
    text = room.put("text.mcap", csv_recording(), 5)

    assert room.convert(good, bad, gone, changed, text) == 65

    outcomes = [room.report(item).outcome for item in (good, bad, gone, changed, text)]
    assert outcomes == [
        Outcome.CONVERTED,
        Outcome.REJECTED,
        Outcome.GONE,
        Outcome.SUPERSEDED,
        Outcome.CONVERTED,
    ]
    assert room.report(bad).reason.startswith("not_mcap: ")
    assert room.results(bad) == {}


def test_a_missing_bucket_for_results_is_transient_and_outweighs_what_is_rejected(room: Room, store: Store) -> None:
    good = room.put("good.mcap", small_recording(3), 1)
    bad = room.put("bad.mcap", b"nothing", 2)

    code = convert_batch([good, bad], Run(store.client, f"absent-{room.folder}", room.run_id, 1))

    assert code == 75


def test_a_run_started_by_hand_needs_no_etag(room: Room) -> None:
    made = room.put("by-hand.mcap", small_recording(4))
    item = WorkItem(RAW, made.key)

    assert room.convert(item) == 0

    assert room.report(item).outcome is Outcome.CONVERTED
    assert MANIFEST in room.results(made)


def test_the_first_generators_files_carry_the_time_of_their_event(room: Room) -> None:
    item = room.put("robot_log.mcap", csv_recording(rows=1))

    assert room.convert(item) == 0

    assert room.results(item)["table.csv"].decode().endswith(f",True,{item.received}\n")


def test_a_rerun_skips_what_is_there(room: Room) -> None:
    item = room.put("again.mcap", small_recording(5))
    room.convert(item)
    before = room.results(item)

    assert room.convert(item, attempt=2) == 0

    assert room.results(item) == before
    assert room.report(item, attempt=2).reason == "its results were there already"


def test_a_rerun_over_partial_results_gives_the_same_bytes(room: Room) -> None:
    item = room.put("partial.mcap", robot_recording(seconds=0.3))
    room.convert(item)
    whole = room.results(item)
    prefix = result_prefix(item.key, item.etag or "", PIPELINE_VERSION)
    room.client.delete(PROCESSED, prefix + MANIFEST)
    room.client.put(PROCESSED, prefix + "odom.csv", b"half a fi")

    assert room.convert(item) == 0

    assert room.results(item) == whole


def test_a_result_stays_a_result_when_its_source_is_gone(room: Room) -> None:
    item = room.put("deleted.mcap", small_recording(6))
    room.convert(item)
    room.client.delete(RAW, item.key)

    assert room.convert(item, attempt=2) == 0


def test_the_latest_is_the_newest_source_whatever_finishes_last(room: Room) -> None:
    old = room.put("two.mcap", small_recording(7))
    room.convert(old)
    new = room.put("two.mcap", small_recording(8))
    room.convert(new)
    assert room.latest(new) == new.etag

    room.client.delete(PROCESSED, latest_key(old.key))
    room.convert(old, attempt=2)  # its results are there; its source is not: it must not become the latest
    with pytest.raises(ObjectNotFound):
        room.latest(old)
    room.convert(new, attempt=2)
    assert room.latest(new) == new.etag


def test_of_sources_that_finish_in_any_order_the_newest_is_the_latest(room: Room) -> None:
    key = f"{room.folder}/order.mcap"
    moments = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in (3, 1, 7, 5, 2, 6, 4, 0)]
    sources = [Source(RAW, key, f"etag{moment.second}", 1, moment) for moment in moments]

    with ThreadPoolExecutor(len(sources)) as pool:
        won = list(pool.map(lambda source: update_latest(room.client, PROCESSED, f"m-{source.etag}", source), sources))

    latest = json.loads(room.read(latest_key(key)))
    assert (latest["manifest"], latest["etag"], latest["modified"]) == (
        "m-etag7",
        "etag7",
        "2026-01-01T00:00:07.000000Z",
    )
    assert won[moments.index(max(moments))]
    assert not update_latest(room.client, PROCESSED, "m-etag1", sources[1])


def test_of_two_versions_of_one_second_the_one_that_is_there_is_the_latest(room: Room) -> None:
    now = room.put("second.mcap", b"there now")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    before, after = (Source(RAW, now.key, etag or "", 1, moment) for etag in ("overwritten", now.etag))

    assert update_latest(room.client, PROCESSED, "m-before", before)
    assert update_latest(room.client, PROCESSED, "m-after", after)
    assert not update_latest(room.client, PROCESSED, "m-before", before)
    assert room.latest(now) == now.etag


def test_a_latest_that_is_broken_is_replaced(room: Room) -> None:
    source = Source(RAW, f"{room.folder}/broken.mcap", "etag", 1, datetime(2026, 1, 1, tzinfo=UTC))
    room.client.put(PROCESSED, latest_key(source.key), b"half a f")

    assert update_latest(room.client, PROCESSED, "m", source)


@pytest.mark.parametrize(
    "name",
    [
        "$(MINIO_SECRET_KEY).mcap",
        "{{ 7 * 7 }}.mcap",
        "a b+c&d=e%2F.mcap",
        "日本/ロボ'\"`;rm -rf .mcap",
        "latest.json.mcap",
        "manifest.json.mcap",
        "-rf.mcap",
        "~#[]^{}|\\.mcap",
        "...mcap",
    ],
)
def test_hostile_keys_convert_to_a_place_of_their_own(name: str, room: Room) -> None:
    content = small_recording(9)
    item = room.put(name, content)

    assert room.convert(item) == 0

    assert sorted(room.results(item)) == [MANIFEST, "numbers.csv"]
    assert json.loads(room.results(item)[MANIFEST])["source"]["key"] == item.key


def test_two_pods_on_one_object_give_one_manifest_and_the_same_bytes(room: Room) -> None:
    item = room.put("raced.mcap", robot_recording(seconds=1))

    pods = [room.convert_as_a_pod(item) for _ in range(2)]
    ended = [(pod.communicate(timeout=60)[1], pod.returncode) for pod in pods]

    assert [code for _, code in ended] == [0, 0], ended
    results = room.results(item)
    for output in json.loads(results[MANIFEST])["outputs"]:
        assert hashlib.sha256(results[output["name"]]).hexdigest() == output["sha256"]


def test_threads_that_race_for_one_object_all_succeed(room: Room) -> None:
    item = room.put("threads.mcap", small_recording(10))

    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: room.convert(item), range(4)))

    assert codes == [0] * 4
    assert sorted(room.results(item)) == [MANIFEST, "numbers.csv"]


@pytest.mark.parametrize(
    ("place", "manifest", "report"),
    [
        ("recordings.downloaded", False, False),
        ("recordings.part", False, False),
        ("recordings.picture:2", False, False),
        ("recordings.decoded", False, False),
        ("recordings.uploaded", False, False),
        ("recordings.uploaded:5", False, False),
        ("recordings.complete", False, False),
        ("recordings.manifest", True, False),
        ("recordings.latest", True, False),
        ("work.before_report", True, False),
        ("work.reported", True, True),
    ],
)
def test_a_pod_killed_anywhere_leaves_nothing_that_a_rerun_does_not_mend(
    place: str, manifest: bool, report: bool, room: Room, golden: Callable[[], dict[str, bytes]]
) -> None:
    item = room.put("killed.mcap", robot_recording(seconds=0.2))

    pod = room.convert_as_a_pod(item, crash_at=place)
    output = pod.communicate(timeout=60)
    assert pod.returncode == -9, output

    assert (MANIFEST in room.results(item)) is manifest
    assert bool(list(room.client.list(PROCESSED, report_key(room.run_id, item.id, 1)))) is report
    assert room.convert(item, attempt=2) == 0
    assert {name: content for name, content in room.results(item).items() if name != MANIFEST} == golden()
    assert room.latest(item) == item.etag


@pytest.fixture(scope="session")
def golden(store: Store) -> Callable[[], dict[str, bytes]]:
    """The results of the recording of the test above, converted without any fault."""
    room = Room(store, f"golden-{uuid4().hex[:8]}")
    item = room.put("golden.mcap", robot_recording(seconds=0.2))
    room.convert(item)
    results = room.results(item)
    del results[MANIFEST]
    return lambda: results


def test_a_crash_on_one_object_costs_it_its_report_and_nothing_else(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trap(ObjectStore):
        """A store with a bug: it breaks on one key."""

        def download(self, bucket: str, key: str, *arguments: object, **options: object) -> object:  # type: ignore[override]
            if key.endswith("trap.mcap"):
                raise AssertionError("a bug")
            return super().download(bucket, key, *arguments, **options)  # type: ignore[arg-type]

    good, trap = room.put("good.mcap", small_recording(11), 1), room.put("trap.mcap", small_recording(12), 2)
    store = Trap.connect(room.store.settings)

    code = convert_batch([trap, good], Run(store, PROCESSED, room.run_id, 1))

    assert code == 70
    assert room.report(good).outcome is Outcome.CONVERTED
    with pytest.raises(ObjectNotFound):
        room.report(trap)


def test_a_store_that_is_down_is_transient(room: Room, store_factory: Callable[[Path], Store], tmp_path: Path) -> None:
    own = store_factory(tmp_path)
    own.stop()
    client = ObjectStore.connect(own.settings, retries=0)

    assert convert_batch([WorkItem(RAW, "a.mcap", "0" * 32, 1)], Run(client, PROCESSED, room.run_id, 1)) == 75


def test_both_ends_of_the_command_may_be_in_the_store(room: Room, tmp_path: Path) -> None:
    item = room.put("command.mcap", small_recording(13))
    target = f"s3://{PROCESSED}/{room.folder}/by-command"

    run = subprocess.run(
        [sys.executable, "-m", "scripts.convert_recording", f"s3://{RAW}/{item.key}", "--out", target],
        env=room.store.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith(f"1 tables, 3 rows: {target}/manifest.json\n")
    assert room.read(f"{room.folder}/by-command/numbers.csv").startswith(b"log_time,")


def test_a_generated_recording_goes_into_the_bucket(room: Room) -> None:
    key = f"{room.folder}/generated.mcap"

    run = subprocess.run(
        [sys.executable, "-m", "scripts.generate_recording", "--upload", "--key", key, "--seconds", "0.1"],
        env=room.store.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout == f"s3://{RAW}/{key}\n"
    assert room.convert(WorkItem(RAW, key)) == 0
