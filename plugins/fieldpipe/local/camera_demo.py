"""The demo of cameras: frames go into Kafka, objects and an hour's table come out, over the DAGs as they are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from fieldpipe.errors import TransientError
from fieldpipe.handover import LATEST
from fieldpipe.local import cameras
from fieldpipe.local.cameras import CAMERA_BUCKET, TOPIC
from fieldpipe.local.demo import Rejected, Say
from fieldpipe.local.runs import awaited, run_dag
from fieldpipe.local.services import PROCESSED_BUCKET
from fieldpipe.local.trail import Trail, moment
from fieldpipe.store import ObjectNotFound

_LEDGER_SECONDS = 1.0  # between two looks at the ledger: each starts a process
_LIMIT = 16 * 1024 * 1024  # bytes of a manifest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Filmed:
    """What became of a batch of frames, and of the hour they belong to. Keys in `hour` are in the bucket of results."""

    sent: int  # frames that the camera has sent to Kafka so far
    manifest: str  # of the batch
    frames: tuple[dict[str, Any], ...]  # of the batch: offset, image, timestamp, size, ...; as in its manifest
    runs: Mapping[str, str]  # the DAG's id and the run's
    hour: str  # prefix of the hour's table
    outputs: tuple[dict[str, Any], ...]  # of the hour: name, bytes, sha256
    rows: int  # of the hour's table
    moments: tuple[tuple[str, datetime | None], ...]  # when the batch's first frame passed each place


def film(trail: Trail, spool: Path, say: Say) -> Filmed:
    """Wait for frames, have them backed up and made a table, and gather what every part says about it.

    Raises Rejected, or TransientError when it takes too long or a part of the stack does not answer.
    """
    begin = datetime.now(UTC)
    before = cameras.sent(spool)
    say(f"the camera has sent {before:,} frames to the topic {TOPIC}")
    _await_frames(spool, before, say)
    backup = _run(trail, "camera_backup", {}, say)
    manifest, batch = _batch(trail, begin)
    frames = tuple(batch["frames"])
    say(f"offsets {batch['first']} to {batch['last']} are in the bucket {CAMERA_BUCKET}: {len(frames)} frames")
    row = _await_index(trail, manifest, say)
    closing = _run(trail, "frame_hours", {"now": True}, say)
    hour, described = _hour(trail, frames[-1]["image"])
    return Filmed(
        sent=cameras.sent(spool),
        manifest=manifest,
        frames=frames,
        runs={
            "camera_backup": backup["dag_run_id"],
            "frames_to_csv": row["run_id"],
            "frame_hours": closing["dag_run_id"],
        },
        hour=hour,
        outputs=tuple(described["outputs"]),
        rows=described["rows"],
        moments=(
            ("captured", _EPOCH + timedelta(microseconds=frames[0]["time"])),
            ("in Kafka", _EPOCH + timedelta(milliseconds=frames[0]["record_time"])),
            ("backup started", moment(backup["start_date"])),
            ("in the bucket", trail.store.stat(CAMERA_BUCKET, manifest).modified),
            ("event received", moment(row["received_at"])),
            ("indexed", moment(row["state_at"])),
            ("hour's table", moment(closing["end_date"])),
        ),
    )


def require_cameras(variables: Mapping[str, str]) -> None:
    """Raises TransientError when the stack of these variables has none."""
    if "KAFKA_BROKERS" not in variables:
        raise TransientError("the stack that runs has no camera: `make down`, then `make demo-camera` again")


def _await_frames(spool: Path, seen: int, say: Say) -> None:
    """Wait until more have come, so that it is seen that they come. The camera counts them every few seconds."""
    now = awaited(partial(_more_than, seen, spool), "new frames", "camera")
    say(f"{now - seen:,} more have come since")


def _more_than(seen: int, spool: Path) -> int | None:
    now = cameras.sent(spool)
    return now if now > seen else None


def _run(trail: Trail, dag_id: str, conf: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Have a DAG run, and succeed."""
    run = run_dag(trail, dag_id, conf, say)
    if run["state"] != "success":
        raise Rejected(f"the run {run['dag_run_id']} of {dag_id} {run['state']}: its log in the Airflow UI says why")
    return run


def _batch(trail: Trail, since: datetime) -> tuple[str, dict[str, Any]]:
    """The newest batch with frames, which a run has committed since then: ours, or the one of the schedule."""
    found = [
        info.key
        for info in trail.store.list(CAMERA_BUCKET, f"_manifests/{TOPIC}/")
        if info.modified is not None and info.modified >= since - timedelta(seconds=1)
    ]
    for key in reversed(found):
        batch = trail.manifest(CAMERA_BUCKET, key)
        if batch["frames"]:
            return key, batch
    raise TransientError(
        f"camera_backup has ended, and there are no new frames in {CAMERA_BUCKET}: see its log in Airflow"
    )


def _await_index(trail: Trail, manifest: str, say: Say) -> dict[str, Any]:
    """Wait until frames_to_csv has made its part of the table; returns the ledger's row."""
    etag = trail.store.stat(CAMERA_BUCKET, manifest).etag

    def ended() -> dict[str, Any] | None:
        row = trail.row(CAMERA_BUCKET, manifest, etag)
        return row if row is not None and row["state"] in ("done", "dead", "gone") else None

    row = awaited(ended, f"the end of frames_to_csv for {manifest}", "dispatcher", pause=_LEDGER_SECONDS)
    if row["state"] != "done":
        raise Rejected(f"{CAMERA_BUCKET}/{manifest} is {row['state']}: {row['reason']}")
    say(f"frames_to_csv has indexed them, run {row['run_id']}")
    return row


def _hour(trail: Trail, image: str) -> tuple[str, dict[str, Any]]:
    """Prefix and manifest of the newest table of the hour that the image belongs to."""
    folder = f"frames/{image.split('/', 1)[1].rpartition('/')[0]}/"
    try:
        content, _ = trail.store.get(PROCESSED_BUCKET, folder + LATEST, limit=_LIMIT)
    except ObjectNotFound:
        raise TransientError(f"frame_hours has ended, and there is no {PROCESSED_BUCKET}/{folder}{LATEST}") from None
    manifest = json.loads(content)["manifest"]
    return f"{manifest.rpartition('/')[0]}/", trail.manifest(PROCESSED_BUCKET, manifest)
