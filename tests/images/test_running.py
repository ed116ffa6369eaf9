"""Each image starts what it is for, as a pod would: nothing but /tmp can be written, and nobody has any rights."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from fieldpipe.broker.entrances.registry import SWITCHES as ENTRANCES
from fieldpipe.broker.sinks.registry import SWITCHES as SINKS
from fieldpipe.local.ports import free_port
from fieldpipe.recordings import compiled
from tests.images.containers import PROJECT, Image
from tests.servers import Postgres
from tests.waiting import eventually

pytestmark = [pytest.mark.images, pytest.mark.timeout(600)]

MEGABYTES = {"worker": 330, "webhook": 110, "airflow": 650, "broker": 200}  # the worker has pandas
TOKEN = "a-token-of-the-test"
MISSING = "import importlib.util as u, shutil as s; print([n for n in {modules} if u.find_spec(n)], {programs})"
NOT_COMPILED = """
import pathlib, sys
import {module}
files = [m for m in sys.modules.values() if (getattr(m, "__file__", None) or "").startswith("/opt")]
print([m.__name__ for m in files if m.__file__.endswith(".py") and not pathlib.Path(m.__cached__).exists()])
"""
EVENT = {
    "EventName": "s3:ObjectCreated:Put",
    "Records": [
        {
            "eventName": "s3:ObjectCreated:Put",
            "s3": {"bucket": {"name": "raw-data"}, "object": {"key": "run1.mcap", "size": 8, "eTag": "0" * 32}},
        }
    ],
}


# every image


def test_it_is_small(image: Image) -> None:
    size = image.python(
        "import os; from pathlib import Path; "
        "print(sum(p.lstat().st_size for p in Path('/opt').rglob('*') if p.is_file() and not p.is_symlink()))"
    )

    assert int(size) / 1e6 < MEGABYTES[image.name]


def test_it_holds_no_installer_and_no_compiler(image: Image) -> None:
    programs = "[n for n in ('pip', 'pip3', 'uv', 'gcc', 'g++', 'cc') if s.which(n)]"

    assert image.python(MISSING.format(modules=["pip"], programs=programs)) == "[] []"
    assert image.run("/usr/bin/env", "PATH=/usr/local/bin:/usr/bin", "python3", "-m", "pip").returncode == 1


def test_it_says_who_it_is(image: Image) -> None:
    template = '{{index .Config.Labels "org.opencontainers.image.version"}} {{.Config.User}} {{.Config.WorkingDir}}'
    user = "50000:0" if image.name == "airflow" else "10001:10001"

    assert image.inspect(template) == f"{image.reference.rpartition(':')[2]} {user} /opt/fieldpipe"


def test_the_builders_way_to_the_package_index_is_not_in_it(image: Image) -> None:
    assert "PIP_" not in image.inspect("{{json .Config.Env}}")
    assert "PIP_" not in image.inspect("{{json .History}}")


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("worker", "scripts.convert_recording"),
        ("webhook", "scripts.ledger"),
        ("airflow", "airflow.cli.cli_parser"),
        ("broker", "scripts.serve_broker"),
    ],
)
def test_its_code_is_compiled(name: str, module: str, request: pytest.FixtureRequest) -> None:
    image: Image = request.getfixturevalue(name)

    assert image.python(NOT_COMPILED.format(module=module)) == "[]"


# worker


def test_worker_converts_a_recording_as_this_checkout_does(worker: Image, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    here = replace(worker, mounts={shared: "/data"})

    made = here.run("python", "-m", "scripts.generate_recording", "--out", "/data/run.mcap", "--seconds", "2")
    converted = here.run("python", "-m", "scripts.convert_recording", "/data/run.mcap", "--out", "/data/out")

    assert (made.returncode, converted.returncode) == (0, 0), made.stderr + converted.stderr
    assert "slowly" not in converted.stderr
    assert tables(shared / "out") == tables(convert_here(shared / "run.mcap", tmp_path / "expected"))


def test_worker_runs_plans_in_compiled_code(worker: Image) -> None:
    program = "from fieldpipe.recordings.executors import executor; print(type(executor()).__name__)"

    assert worker.python(program) == compiled.CompiledExecutor.__name__


@pytest.mark.parametrize(
    "script",
    [
        *("backup_camera", "capture_camera", "close_frame_hours", "connect_sinks", "index_frames"),
        *("audit_sentinel", "sentinel", "watch_sentinel"),
    ],
)
def test_worker_image_starts_every_script_of_cameras_and_sentinel(worker: Image, script: str) -> None:
    helped = worker.run("python", "-m", f"scripts.{script}", "--help")

    assert (helped.returncode, helped.stdout[:6]) == (0, "usage:"), helped.stderr


def test_worker_knows_time_zones(worker: Image) -> None:
    assert worker.python("from zoneinfo import ZoneInfo; print(ZoneInfo('Asia/Tokyo'))") == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("worker", ["airflow", "kubernetes"]),
        ("webhook", ["airflow", "kubernetes", "pandas"]),
        ("broker", ["airflow", "kubernetes", "pandas"]),
    ],
)
def test_only_airflows_own_image_holds_airflow(name: str, modules: list[str], request: pytest.FixtureRequest) -> None:
    image: Image = request.getfixturevalue(name)

    assert image.python(MISSING.format(modules=modules, programs="[]")) == "[] []"


# broker


def test_broker_has_what_every_sink_and_entrance_takes(broker: Image) -> None:
    modules = [f"fieldpipe.broker.sinks.{name}" for name in SINKS] + [
        f"fieldpipe.broker.entrances.{name}" for name in ENTRANCES
    ]

    assert broker.python(f"from importlib import import_module as i; print(len([i(m) for m in {modules}]))") == str(
        len(modules)
    )


def test_broker_names_the_settings_that_are_wrong_and_ends(broker: Image) -> None:
    ended = broker.run(
        *("env", "KRAKENB_SPOOL_BYTES=much", "KRAKENB_GRPC_HOST=0.0.0.0:50051"), "python", "-m", "scripts.serve_broker"
    )

    assert ended.returncode == 65
    assert "KRAKENB_SPOOL_BYTES" in ended.stderr


def test_broker_holds_the_handlers_that_its_manual_names(broker: Image) -> None:
    loading = "from pathlib import Path; from fieldpipe.broker.handlers.loading import load"

    assert (
        broker.python(f"{loading}; print(*load(Path('handlers')))")
        == "camera.CameraBroker heartbeat.HeartbeatBroker simple.SimpleBroker"
    )


# webhook


def test_webhook_without_settings_names_them_and_ends(webhook: Image) -> None:
    ended = webhook.run()

    assert ended.returncode == 65
    assert "FIELDPIPE_LEDGER_URL: Field required" in ended.stderr


@pytest.mark.parametrize("script", ["dispatch_events", "sync_events", "setup_events", "ledger"])
def test_webhook_image_starts_every_script_of_the_ledger(webhook: Image, script: str) -> None:
    helped = webhook.run("python", "-m", f"scripts.{script}", "--help")

    assert (helped.returncode, helped.stdout[:6]) == (0, "usage:"), helped.stderr


def test_webhook_serves_and_stores_an_event(webhook: Image, postgres: Postgres, tmp_path: Path) -> None:
    sockets = postgres.server.sockets
    sockets.chmod(0o711)  # the container's user goes in as well
    address = f"127.0.0.1:{free_port(set())}"
    here = replace(
        webhook,
        environment={
            "FIELDPIPE_LEDGER_URL": postgres.create_database(),
            "WEBHOOK_AUTH_TOKEN": TOKEN,
            "WEBHOOK_BIND": address,
        },
        mounts={sockets: str(sockets)},
    )
    log = tmp_path / "webhook.log"

    assert here.run("python", "-m", "scripts.ledger", "migrate").returncode == 0
    with here.serving(log):
        eventually(lambda: serves(f"http://{address}/ready"), seconds=60, state=log.read_text)
        health = httpx.get(f"http://{address}/health").json()
        answer = httpx.post(
            f"http://{address}/minio-event", json=EVENT, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30
        )

    assert health["status"] == "healthy"
    assert (answer.status_code, len(answer.json()["events"])) == (202, 1)


# airflow


def test_airflow_is_the_version_of_the_lock(airflow: Image) -> None:
    lock = (PROJECT / "requirements/airflow.txt").read_text()

    version = airflow.run().stdout.strip()

    assert f"apache-airflow=={version} " in lock


def test_airflow_parses_the_dags_that_were_baked_in(airflow: Image) -> None:
    program = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag()
print(json.dumps([bag.import_errors, sorted(bag.dags)]))
"""
    expected = sorted(path.stem for path in (PROJECT / "dags").glob("*.py"))

    assert json.loads(airflow.python(program).splitlines()[-1]) == [{}, expected]


def test_airflow_has_what_only_a_cluster_needs(airflow: Image) -> None:
    program = """
import airflow.providers.amazon.aws.log.s3_task_handler
import airflow.providers.celery.executors.celery_executor
import airflow.providers.fab.auth_manager.fab_auth_manager
import airflow.providers.cncf.kubernetes.operators.pod
import asyncpg, psycopg2, redis
print("imported")
"""
    assert airflow.python(program).splitlines()[-1] == "imported"


def serves(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False


def convert_here(recording: Path, target: Path) -> Path:
    """The same recording, converted by the code of this checkout."""
    command = [sys.executable, "-m", "scripts.convert_recording", str(recording), "--out", str(target)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    return target


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}
