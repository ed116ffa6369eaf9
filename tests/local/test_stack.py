"""The embedded stack as a user has it: one command up, a recording in, tables out, one command down."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from fieldpipe.local.status import State
from tests.sockets import all_listening_ports, listening
from tests.stacks import RunningStack

pytestmark = pytest.mark.stack

SERVICES = {
    "postgres",
    "store",
    "api-server",
    "scheduler",
    "dag-processor",
    "triggerer",
    "webhook",
    "dispatcher",
    "event-sync",
    "pods",
}


def _demo(stack: RunningStack, folder: Path, *options: str) -> dict[str, Any]:
    file = folder / "demo.json"
    done = stack.run("scripts.demo", "--json", str(file), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(file.read_text())
    return result


@pytest.fixture(scope="module")
def converted(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `make demo` says about a recording."""
    return _demo(stack, tmp_path_factory.mktemp("demo"))


def test_a_recording_becomes_tables_that_ledger_airflow_and_manifest_agree_on(
    stack: RunningStack, converted: dict[str, Any]
) -> None:
    result = converted

    trail = stack.trail
    row = trail.row(result["bucket"], result["key"], result["etag"])
    run = trail.run(result["run_id"])
    manifest = trail.manifest(result["processed_bucket"], result["manifest"])
    assert row is not None
    assert run is not None
    assert (row["state"], row["source"], row["run_id"]) == ("done", "listing", result["run_id"])
    assert (run["state"], run["dag_id"]) == ("success", "recording_to_csv")
    assert manifest["source"]["etag"] == result["etag"]
    assert {output["topic"] for output in result["outputs"]} >= {"/imu/data", "/odom", "/tf", "/joint_states"}
    for output in result["outputs"]:
        content, _ = trail.store.get(result["processed_bucket"], output["key"], limit=10**8)
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (output["sha256"], output["bytes"])


def test_the_hops_of_a_recording_follow_one_another(converted: dict[str, Any]) -> None:
    hops = converted["hops"]

    later = [hops[name] for name in ("event_received", "run_started", "pod_started", "written")]
    assert later == sorted(later)


def test_a_file_that_is_no_recording_is_rejected_with_its_reason(stack: RunningStack, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mcap"
    bad.write_bytes(b"\x00 this is no recording")

    done = stack.run("scripts.demo", "--recording", str(bad))

    assert done.returncode == 65
    assert "bad.mcap" in done.stderr
    assert "demo failed" in done.stdout
    assert "Traceback" not in done.stderr


def test_the_demo_of_cameras_says_what_to_do_when_the_stack_has_none(stack: RunningStack) -> None:
    done = stack.run("scripts.demo", "--camera")

    assert done.returncode == 75
    assert "no camera: `make down`, then `make demo-camera`" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_service_serves_and_status_says_so(stack: RunningStack) -> None:
    done = stack.run("scripts.stack", "status")

    serving = {service.name for service in stack.status().services if service.state is State.SERVING}
    assert serving == SERVICES
    assert done.returncode == 0
    assert all(name in done.stdout for name in SERVICES)


def test_everything_listens_on_loopback_only(stack: RunningStack) -> None:
    assert {address for address, _ in listening(stack.processes())} <= {"127.0.0.1", "::1"}


def test_a_second_up_says_that_it_runs_already(stack: RunningStack) -> None:
    before = stack.status().supervisor

    done = stack.run("scripts.stack", "up")

    assert done.returncode == 0
    assert "runs already" in done.stdout
    assert stack.environment["AIRFLOW_BASE_URL"] in done.stdout
    assert stack.status().supervisor == before


def test_secrets_are_readable_by_their_owner_only(stack: RunningStack) -> None:
    secrets = [stack.environment[name] for name in ("MINIO_SECRET_KEY", "WEBHOOK_AUTH_TOKEN")]
    holding = [f for f in stack.home.config.rglob("*") if f.is_file() and any(s in f.read_text() for s in secrets)]

    assert {oct(file.stat().st_mode & 0o777) for file in holding} == {"0o600"}
    assert stack.home.root.stat().st_mode & 0o077 == 0


def test_a_killed_webhook_loses_no_recording(stack: RunningStack, tmp_path: Path) -> None:
    moment = stack.kill("webhook")

    result = _demo(stack, tmp_path)

    assert result["outputs"] != []
    assert stack.await_serving_since("webhook", moment).restarts >= 1


@pytest.mark.fault
def test_down_leaves_no_process_no_port_and_no_file_outside(stack: RunningStack) -> None:
    ports = {port for _, port in listening(stack.processes())}
    outside = [Path(path) for path in stack.status().litter]
    assert ports != set()

    stack.down()

    left = (stack.processes(), ports & all_listening_ports(), [path for path in outside if path.exists()])
    stack.up()  # the session's other tests need it
    assert left == ([], set(), [])
    assert {port for _, port in listening(stack.processes())} == ports


@pytest.mark.fault
@pytest.mark.minio
def test_with_minio_its_notifications_are_the_events(minio_stack: RunningStack, tmp_path: Path) -> None:
    assert _demo(minio_stack, tmp_path)["source"] == "minio"
