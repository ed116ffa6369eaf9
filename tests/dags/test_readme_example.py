"""The README's worked example works as printed: its script, its DAG and its route."""

import json
import os
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest

from fieldpipe.events.routes import load_routes
from fieldpipe.handover import PIPELINE_VERSION, WorkItem, encode_work, report_key, result_prefix
from tests.airflow_looks import Airflow
from tests.dags.test_dags import LOAD, ROOT
from tests.servers import Store


@pytest.fixture(scope="module")
def pieces() -> dict[str, str]:
    """The code of the section, by what it is."""
    section = (ROOT / "README.md").read_text().split("## Adding a DAG and a script")[1].split("\n## ")[0]
    blocks = re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)
    assert [language for language, _ in blocks] == ["python", "python", "toml"]
    return dict(zip(("script", "dag", "route"), (text for _, text in blocks), strict=True))


def test_the_route_sends_bag_files_to_the_example(pieces: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(pieces["route"])

    route = load_routes(file, output_bucket="processed-data").match("raw-data", "site/run.bag")

    assert route is not None
    assert route.dag_id == "checksum_object"


def test_the_dag_loads(in_airflow: Airflow, pieces: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "checksum_object.py").write_text(pieces["dag"])

    loaded = in_airflow(LOAD, str(tmp_path))

    assert loaded["errors"] == {}
    assert list(loaded["dags"]) == ["checksum_object"]


def test_the_script_does_what_it_says(pieces: dict[str, str], tmp_path: Path, store: Store) -> None:
    script = tmp_path / "checksum_object.py"
    script.write_text(pieces["script"])
    key, run = f"{uuid4().hex}/run.bag", f"fp.checksums.{uuid4().hex[:24]}"
    etag = store.client.put("raw-data", key, b"what the robot saw")
    items = [WorkItem("raw-data", key, etag, 1), WorkItem("raw-data", "not/there.bag", etag, 2)]

    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ
        | {
            "MINIO_ENDPOINT": store.settings.endpoint,
            "MINIO_ACCESS_KEY": store.settings.access_key,
            "MINIO_SECRET_KEY": store.settings.secret_key.get_secret_value(),
            "FIELDPIPE_RUN": run,
            "FIELDPIPE_TRY": "1",
            "FIELDPIPE_WORK": encode_work(items),
        },
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    place = result_prefix(key, etag, PIPELINE_VERSION) + "manifest.json"
    manifest, _ = store.client.get("processed-data", place, limit=10_000)
    assert json.loads(manifest)["sha256"] == sha256(b"what the robot saw").hexdigest()
    reports = [
        json.loads(store.client.get("processed-data", report_key(run, item.id, 1), limit=10_000)[0]) for item in items
    ]
    assert [report["outcome"] for report in reports] == ["converted", "gone"]
