"""The whole pipeline on a node: up from nothing, recordings and frames become tables, also after changes and losses."""

from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from tests.cluster import cluster, images
from tests.cluster.control_plane import ControlPlane
from tests.cluster.manifests import Manifests
from tests.cluster.pipeline import NAMESPACE, Pipeline
from tests.cluster.programs import NotHere
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

OVERLAY = "cameras"  # dev, and more
COME_UP_SECONDS = 900  # Airflow on two busy CPUs
CONVERTED_SECONDS = 300
BACKED_UP_SECONDS = 600
AUDITED_SECONDS = 300

LEASE = "import os; print(os.environ.get('FIELDPIPE_DISPATCH_LEASE_SECONDS'))"
CONNECT = """
import socket
try:
    socket.create_connection(("{host}", {port}), 5)
    print("open")
except OSError:
    print("closed")
"""


@pytest.fixture(scope="module")
def node(plane: ControlPlane, absent: Callable[[NotHere], NoReturn]) -> Iterator[ControlPlane]:
    """The cluster with its node."""
    try:
        archives = images.archives()
    except NotHere as missing:
        absent(missing)
    with cluster.with_node(plane, archives) as started:
        yield started


@pytest.fixture(scope="module")
def applied(node: ControlPlane, manifests: Callable[[str], Manifests]) -> Manifests:
    """The overlay, applied once; backups and audits come every minute, as five and fifteen are long to wait."""
    chosen = manifests(OVERLAY)
    chosen.set("CAMERA_SCHEDULE", "* * * * *")
    chosen.set("SENTINEL_SCHEDULE", "* * * * *")
    chosen.apply(node)
    return chosen


@pytest.fixture(scope="module")
def pipeline(node: ControlPlane, applied: Manifests) -> Pipeline:
    """The pipeline, when all of it is up."""
    found = Pipeline(node)
    found.await_ready(COME_UP_SECONDS)
    return found


def test_every_job_completes(pipeline: Pipeline) -> None:
    def incomplete() -> list[str]:
        jobs = [job for job in pipeline.objects("jobs") if not job["metadata"].get("ownerReferences")]
        return [job["metadata"]["name"] for job in jobs if not job["status"].get("succeeded")]

    eventually(lambda: not incomplete(), 120, pipeline.describe)


def test_a_recording_becomes_tables(pipeline: Pipeline) -> None:
    await_new_tables(pipeline, "first-recording")


def test_frames_of_the_camera_become_objects_and_rows(pipeline: Pipeline) -> None:
    images = eventually(lambda: pipeline.frames(".jpg"), BACKED_UP_SECONDS, pipeline.describe)
    eventually(lambda: images <= pipeline.frames("-timestamp.txt"), BACKED_UP_SECONDS, pipeline.describe)
    eventually(pipeline.frame_tables, BACKED_UP_SECONDS, pipeline.describe)


def test_an_hour_of_frames_becomes_one_table_when_somebody_asks_for_it(pipeline: Pipeline) -> None:
    pipeline.trigger("frame_hours", {"now": True})
    tables = ("/latest.json", "/index.csv", "/contact-sheet.png")
    eventually(
        lambda: all(_ends(pipeline.frame_tables(), each) for each in tables), CONVERTED_SECONDS, pipeline.describe
    )


def test_devices_in_etcd_become_rows_and_the_audit_reports(pipeline: Pipeline) -> None:
    pipeline.put_device("edge", "Debian")
    eventually(lambda: ("edge", "Debian") in pipeline.rows(), 60, pipeline.describe)
    eventually(pipeline.audits, AUDITED_SECONDS, pipeline.describe)


def test_a_reading_becomes_a_table(pipeline: Pipeline) -> None:
    pipeline.send_reading(images.on_node("fieldpipe-worker"))
    eventually(lambda: _ends(pipeline.tables(), "/mqtt__kitchen.csv"), CONVERTED_SECONDS, pipeline.describe)


def test_a_tasks_log_is_in_the_store(pipeline: Pipeline) -> None:
    eventually(lambda: "recording_to_csv" in "".join(pipeline.keys("airflow-logs")), 120, pipeline.describe)


def test_a_changed_setting_is_rolled_out_and_recordings_flow_on(pipeline: Pipeline, applied: Manifests) -> None:
    applied.apply(pipeline.plane)  # unchanged
    assert pipeline.unready() == []

    applied.set("FIELDPIPE_DISPATCH_LEASE_SECONDS", "20")
    applied.apply(pipeline.plane)
    eventually(lambda: "20" in pipeline.python(LEASE), COME_UP_SECONDS, pipeline.describe)
    pipeline.await_ready(COME_UP_SECONDS)

    await_new_tables(pipeline, "after-the-change")


@pytest.mark.parametrize("lost", ["airflow-worker-0", "airflow-redis-0", "airflow-postgresql-0"])
def test_a_pod_is_lost_and_recordings_flow_on(pipeline: Pipeline, lost: str) -> None:
    pipeline.kubectl("delete", "pod", lost, "--grace-period=0", "--force")
    await_new_tables(pipeline, f"without-{lost}")


def test_kafka_is_lost_and_frames_flow_on(pipeline: Pipeline) -> None:
    pipeline.kubectl("delete", "pod", "kafka-0", "--grace-period=0", "--force")
    pipeline.await_ready(COME_UP_SECONDS)
    before = pipeline.frames(".jpg")
    eventually(lambda: pipeline.frames(".jpg") - before, BACKED_UP_SECONDS, pipeline.describe)


@pytest.mark.parametrize("lost", ["mysql-0", "etcd-0"])
def test_what_the_sentinel_needs_is_lost_and_rows_follow(pipeline: Pipeline, lost: str) -> None:
    pipeline.kubectl("delete", "pod", lost, "--grace-period=0", "--force")
    pipeline.await_ready(COME_UP_SECONDS)
    pipeline.put_device("edge", f"without-{lost}")
    eventually(lambda: ("edge", f"without-{lost}") in pipeline.rows(), 120, pipeline.describe)


@pytest.mark.parametrize(
    ("workload", "host", "port", "admitted"),
    [
        ("deployment/dispatcher", "airflow-postgresql", 5432, True),
        ("deployment/dispatcher", "minio", 9000, True),
        ("deployment/webhook-receiver", "airflow-redis", 6379, False),
        ("deployment/webhook-receiver", "minio", 9000, False),
        ("deployment/dispatcher", "airflow-redis", 6379, False),
        ("deployment/camera", "kafka", 9092, True),
        ("deployment/camera", "minio", 9000, False),
        ("deployment/dispatcher", "kafka", 9092, False),
        ("deployment/sentinel", "etcd", 2379, True),
        ("deployment/sentinel", "mysql", 3306, True),
        ("deployment/sentinel", "minio", 9000, False),
        ("statefulset/broker", "minio", 9000, True),
        ("statefulset/broker", "mysql", 3306, False),
        ("deployment/dispatcher", "etcd", 2379, False),
        ("deployment/dispatcher", "mysql", 3306, False),
    ],
)
def test_network_policies_admit_whom_they_should(
    pipeline: Pipeline, workload: str, host: str, port: int, admitted: bool
) -> None:
    answer = pipeline.python(CONNECT.format(host=host, port=port), workload).strip()
    assert answer == ("open" if admitted else "closed")


def test_deleting_the_namespace_ends_everything_soon(pipeline: Pipeline) -> None:
    pipeline.plane.kubectl("delete", "namespace", NAMESPACE, "--timeout=180s")


def await_new_tables(pipeline: Pipeline, name: str) -> None:
    """Put a recording and return when there are tables that were not there before."""
    before = pipeline.tables()
    pipeline.put_recording(name)
    eventually(lambda: pipeline.tables() - before, CONVERTED_SECONDS, lambda: pipeline.ledger("stats"))


def _ends(keys: set[str], suffix: str) -> bool:
    return any(key.endswith(suffix) for key in keys)
