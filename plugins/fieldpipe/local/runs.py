"""Runs of DAGs that a demo starts and waits for."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

from fieldpipe.errors import TransientError
from fieldpipe.local.demo import Say
from fieldpipe.local.trail import Trail

PATIENCE_SECONDS = 180.0  # for each step; on an idle machine each takes a few

_POLL_SECONDS = 0.2

Found = TypeVar("Found")


def run_dag(trail: Trail, dag_id: str, conf: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Trigger a DAG and wait for the run's end, good or bad. Raises TransientError when it takes too long."""
    run_id = f"demo__{uuid4().hex[:12]}"
    awaited(lambda: trail.trigger(dag_id, run_id, conf), f"Airflow's knowledge of the DAG {dag_id}", "dag-processor")
    say(f"triggered {dag_id}{' with ' + ', '.join(conf) if conf else ''}, run {run_id}")
    return awaited(lambda: _ended(trail, run_id), f"the end of the run {run_id} of {dag_id}", "scheduler")


def awaited(look: Callable[[], Found | None], what: str, service: str, *, pause: float = _POLL_SECONDS) -> Found:
    """What `look` finds, as soon as it finds something. Raises TransientError, which names the service to look at."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TransientError(f"{what} did not come in {PATIENCE_SECONDS:.0f} s: see `make logs SERVICE={service}`")
        time.sleep(pause)
    return found


def _ended(trail: Trail, run_id: str) -> dict[str, Any] | None:
    run = trail.run(run_id)
    return run if run is not None and run["state"] in ("success", "failed") else None
