"""The demo: a recording into the bucket, and everything that happens to it until its tables can be read."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from fieldpipe.errors import PermanentError, TransientError
from fieldpipe.handover import MANIFEST
from fieldpipe.local.services import PROCESSED_BUCKET, RAW_BUCKET
from fieldpipe.local.trail import Hops, Trail, moment

PATIENCE_SECONDS = 180.0  # more than a large recording takes; a stuck one should be said
MANIFEST_SECONDS = 0.1  # between two looks for the manifest
LEDGER_SECONDS = 2.0  # between two looks at the ledger: each starts a process

Say = Callable[[str], None]


class Rejected(PermanentError):
    """The recording cannot be converted. The message is the ledger's reason."""


@dataclass(frozen=True)
class Converted:
    """What became of the demo's recording. Keys of `outputs` are in the bucket of results."""

    bucket: str
    key: str
    etag: str
    source: str  # of the event: listing or minio
    run_id: str
    dag_id: str
    pod: str
    manifest: str
    outputs: tuple[dict[str, Any], ...]  # name, topic, kind, rows, ...; as in the manifest, and the key
    hops: Hops


def convert(trail: Trail, recording: Path, say: Say) -> Converted:
    """Put the recording under a fresh key, wait until its tables stand, and gather what every part says about it.

    Raises Rejected, or TransientError when it takes too long or a part of the stack does not answer.
    """
    if recording.suffix.lower() != ".mcap":
        raise PermanentError(f"{recording} does not end in .mcap, and only such objects are recordings")
    key = f"demo/{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}/{recording.name}"
    say(f"putting {recording.name} ({recording.stat().st_size:,} bytes) to {RAW_BUCKET}/{key}")
    etag = trail.store.upload(RAW_BUCKET, key, recording)
    return follow(trail, key, etag, datetime.now(UTC), say)


def follow(trail: Trail, key: str, etag: str, put: datetime, say: Say) -> Converted:
    """Wait until the tables of a recording that was put there stand; as `convert`."""
    row, written = _await_row(trail, key, etag, say)
    return _gather(trail, key, etag, row, Hops(put, moment(row["received_at"]), None, None, written))


def make_recording(project: Path, folder: Path) -> Path:
    """A recording as a robot would make it, with several ROS 2 topics."""
    file = folder / "robot.mcap"
    made = subprocess.run(
        [sys.executable, "-m", "scripts.generate_recording", "--out", str(file)],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise TransientError(f"scripts.generate_recording: {made.stderr.strip()}")
    return file


def _await_row(trail: Trail, key: str, etag: str, say: Say) -> tuple[dict[str, Any], datetime | None]:
    """Wait for the row's end; returns it and when the manifest was seen first."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    next_look = time.monotonic()
    written: datetime | None = None
    state = ""
    while time.monotonic() < deadline:
        if written is None and _has_manifest(trail, key, etag):
            written = datetime.now(UTC)
            next_look = 0.0
        if time.monotonic() >= next_look:
            row = trail.row(RAW_BUCKET, key, etag)
            if row is not None and row["state"] != state:
                state = row["state"]
                say(f"{state}{' as run ' + row['run_id'] if state == 'dispatched' else ''}")
            if row is not None and state in ("dead", "gone", "superseded"):
                raise Rejected(f"{RAW_BUCKET}/{key}: {row['reason'] or state}")
            if row is not None and state == "done":
                return row, written
            next_look = time.monotonic() + (MANIFEST_SECONDS if written else LEDGER_SECONDS)
        time.sleep(MANIFEST_SECONDS)
    raise TransientError(
        f"{RAW_BUCKET}/{key} is {state or 'not in the ledger'} after {PATIENCE_SECONDS:.0f} s: "
        "see `make status`, `make logs SERVICE=dispatcher`, and the run in Airflow"
    )


def _has_manifest(trail: Trail, key: str, etag: str) -> bool:
    prefix = f"{key.rpartition('.')[0]}/{etag[:12]}-p"
    return any(found.key.endswith(f"/{MANIFEST}") for found in trail.store.list(PROCESSED_BUCKET, prefix))


def _gather(trail: Trail, key: str, etag: str, row: dict[str, Any], hops: Hops) -> Converted:
    run_id = row["run_id"]
    run, pod = trail.run(run_id), trail.pod(run_id)
    if run is None or pod is None:
        raise TransientError(
            f"run {run_id} is done, but {'Airflow' if run is None else 'the Pods API'} does not know it"
        )
    manifest = trail.manifest(PROCESSED_BUCKET, row["result"])
    folder = row["result"].removesuffix(MANIFEST)
    outputs = tuple(output | {"key": folder + output["name"]} for output in manifest["outputs"])
    return Converted(
        bucket=RAW_BUCKET,
        key=key,
        etag=etag,
        source=row["source"],
        run_id=run_id,
        dag_id=run["dag_id"],
        pod=pod["name"],
        manifest=row["result"],
        outputs=outputs,
        hops=Hops(hops.put, hops.event_received, moment(run["start_date"]), moment(pod["started"]), hops.written),
    )
