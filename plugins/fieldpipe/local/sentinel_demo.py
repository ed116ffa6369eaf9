"""The demo of the sentinel in a stack: rows are changed by hand; the DAG etcd_sentinel finds it, and puts it right."""

import csv
import io
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, text

from fieldpipe.errors import TransientError
from fieldpipe.local.demo import Rejected, Say
from fieldpipe.local.display import columns
from fieldpipe.local.runs import awaited, run_dag
from fieldpipe.local.services import PROCESSED_BUCKET
from fieldpipe.local.trail import Trail, moment

DAG = "etcd_sentinel"
WRITTEN = (
    ("put", "demo-edge", "deviceIp=10.0.0.1", "os=Ubuntu 18.04"),
    ("put", "demo-spare", "deviceIp=10.0.0.2", "os=Ubuntu 20.04"),
    ("put", "demo-spare/demo-gate", "imageName=gate", "currentVersion=7"),
    ("move", "demo-edge", "1"),
)
DELETED = ("delete", "demo-edge", "demo-spare", "demo-spare/demo-gate")
BY_HAND = (
    "UPDATE {device} SET os = 'Windows 95' WHERE deviceName = 'demo-spare'",
    "REPLACE INTO {device} (deviceName, deviceIp) VALUES ('demo-ghost', '10.0.0.9')",
    "DELETE FROM {pod} WHERE podName = 'demo-gate'",
)

_ARRIVED = (
    "SELECT COUNT(*) FROM {device}, {pod} WHERE deviceName = 'demo-edge' AND connectionStatus = 1 "
    "AND podName = 'demo-gate' AND {pod}.deletedAt IS NULL"
)
_ROWS = (
    "SELECT deviceName, deviceIp, connectionStatus, os, deletedAt FROM {device} "
    "WHERE deviceName LIKE 'demo-%' ORDER BY deviceName"
)
_WIDTH = 19  # of a cell: SQLite's times have more digits than are of interest
_LIMIT = 16 * 1024 * 1024  # bytes of a report


@dataclass(frozen=True)
class Audited:
    """A run of the DAG, and its report."""

    run_id: str
    state: str
    said: str  # the last line of its pod
    report: str  # key in the bucket of results
    found: tuple[Mapping[str, str], ...]  # the report's lines


@dataclass(frozen=True)
class Tables:
    """The mirror, as somebody sees it who knows the database only."""

    engine: Engine

    def change(self, statement: str) -> None:
        """Run a statement in a transaction."""
        with self.engine.begin() as connection:
            connection.execute(text(statement))

    def arrived(self) -> bool:
        """Whether what was written stands in the tables."""
        with self.engine.connect() as connection:
            return self._ask(connection, _ARRIVED)[1][0] == "1"

    def rows(self) -> str:
        """The demo's devices."""
        with self.engine.connect() as connection:
            return columns(self._ask(connection, _ROWS))

    def named(self, statement: str) -> str:
        """With the names that the tables have here."""
        prefixes = ("Device.", "Pod.") if self.engine.dialect.name == "mysql" else ("", "")
        return statement.format(device=f"{prefixes[0]}device", pod=f"{prefixes[1]}pod")

    def _ask(self, connection: Connection, statement: str) -> list[list[str]]:
        found = connection.execute(text(self.named(statement)))
        return [list(found.keys()), *(["" if value is None else str(value)[:_WIDTH] for value in row] for row in found)]


def play(trail: Trail, variables: Mapping[str, str], say: Say) -> tuple[Audited, ...]:
    """Write keys, spoil the rows, and have three runs: one finds it, one repairs it, one finds nothing.

    Raises Rejected when a run does not end as it should, or TransientError when something takes too long.
    """
    tables = Tables(create_engine(_url(variables)))
    for arguments in WRITTEN:
        _write(trail, arguments, say)
    awaited(tables.arrived, "the rows", "sentinel")
    say(f"the rows are in {'MariaDB' if tables.engine.dialect.name == 'mysql' else 'SQLite'}\n{_under(tables.rows())}")
    statements = [tables.named(statement) for statement in BY_HAND]
    for statement in statements:
        tables.change(statement)
    say("somebody writes into the tables by hand\n" + _under("\n".join(statements)))
    found = _audit(trail, {}, "failed", say)
    said = textwrap.fill(found.said, 100, break_on_hyphens=False)
    say(f"the run has failed, as it should; the last line of its pod:\n{_under(said)}")
    lines = columns([list(found.found[0]), *(list(line.values()) for line in found.found)])
    say(f"the report, {PROCESSED_BUCKET}/{found.report}\n{_under(lines)}")
    repaired = _audit(trail, {"repair": True}, "success", say)
    say(f"it has written the rows again\n{_under(tables.rows())}")
    after = _audit(trail, {}, "success", say)
    say("green: the tables say what etcd says")
    _write(trail, DELETED, say)
    tables.engine.dispose()
    return found, repaired, after


def summary(runs: Sequence[Audited]) -> str:
    """The runs, and where their reports are."""
    rows = [(run.run_id, run.state, _counts(run), f"{PROCESSED_BUCKET}/{run.report}") for run in runs]
    return columns([(f"run of {DAG}", "state", "found", "report"), *rows])


def require_sentinel(variables: Mapping[str, str]) -> None:
    """Raises TransientError when the stack of these variables has none."""
    if "MY_ETCD_HOST" not in variables:
        raise TransientError("the stack that runs has no sentinel: `make down`, then `make demo-sentinel` again")


def _audit(trail: Trail, conf: Mapping[str, Any], wanted: str, say: Say) -> Audited:
    run = run_dag(trail, DAG, conf, say)
    said = trail.said(run) or ["see its log in Airflow"]
    if run["state"] != wanted:
        raise Rejected(f"the run {run['dag_run_id']} of {DAG} ended with {run['state']}: {said[-1]}")
    report = _report(trail, moment(run["start_date"]) or datetime.now(UTC))
    content, _ = trail.store.get(PROCESSED_BUCKET, report, limit=_LIMIT)
    lines = csv.DictReader(io.StringIO(content.decode()))
    return Audited(run["dag_run_id"], run["state"], said[-1], report, tuple(lines))


def _report(trail: Trail, since: datetime) -> str:
    """The table that a run has written which began then."""
    found = [info.key for info in trail.store.list(PROCESSED_BUCKET, f"sentinel/{since:%Y-%m-}")]
    later = [key for key in found if key.endswith(".csv") and key >= f"sentinel/{since:%Y-%m-%d/%H%M%S}"]
    if not later:
        raise TransientError(f"{DAG} has ended, and there is no report in {PROCESSED_BUCKET}/sentinel/")
    return later[-1]


def _write(trail: Trail, arguments: tuple[str, ...], say: Say) -> None:
    say("python -m scripts.sentinel " + " ".join(f'"{each}"' if " " in each else each for each in arguments))
    trail.script("scripts.sentinel", *arguments)


def _counts(run: Audited) -> str:
    counts = Counter(line["found"] for line in run.found)
    return ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())) or "nothing"


def _url(variables: Mapping[str, str]) -> str | URL:
    if "SENTINEL_URL" in variables:
        return variables["SENTINEL_URL"]
    host, port, user, password = (variables[f"MY_MYSQL_{name}"] for name in ("HOST", "PORT", "USER", "PASSWORD"))
    return URL.create("mysql+pymysql", user, password, host, int(port))


def _under(lines: str) -> str:
    return textwrap.indent(lines, " " * 11)
