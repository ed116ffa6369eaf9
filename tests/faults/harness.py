"""What a fault test ends with: wait until nothing is open, then hold bucket, ledger and results against each other."""

import functools
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import SecretStr
from sqlalchemy import Engine, text

from fieldpipe.events import database
from fieldpipe.events.database import LedgerUnavailable
from fieldpipe.events.people import Filter, list_objects
from fieldpipe.events.states import OPEN, State
from fieldpipe.handover import MANIFEST, PIPELINE_VERSION, latest_key, result_prefix, utc_text
from fieldpipe.local import process
from fieldpipe.recordings.convert import convert
from fieldpipe.settings import LedgerSettings
from fieldpipe.store import ObjectNotFound, ObjectStore, StoreUnavailable
from tests.waiting import eventually

RAW = "raw-data"
PROCESSED = "processed-data"
SMALL = 64 * 1024 * 1024  # bytes: more than any object of these tests
MCAP_MAGIC = b"\x89MCAP"

Row = dict[str, Any]


@dataclass(frozen=True)
class Put:
    """An object version that a test has put into the bucket."""

    key: str
    etag: str
    content: bytes

    @property
    def folder(self) -> str:
        """Where its results lie."""
        return result_prefix(self.key, self.etag, PIPELINE_VERSION)


class LedgerView:
    """What a ledger holds, read by the library's own questions."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = database.connect(LedgerSettings(url=SecretStr(url)), process="fault-tests")

    def rows(self, prefix: str = "") -> list[Row]:
        """The rows of all objects below a prefix."""
        with database.transaction(self.engine) as connection:
            return list_objects(connection, Filter(key=f"{prefix}*"), limit=10_000)

    def runs(self) -> list[Row]:
        """All runs, oldest first, with the ids of their members."""
        query = text(
            "SELECT r.*, array_agg(m.object_id) AS members FROM runs r JOIN run_members m USING (run_id)"
            " GROUP BY r.run_id ORDER BY r.created_at"
        )
        with database.transaction(self.engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def is_quiet(self, prefix: str, count: int) -> bool:
        """Whether at least `count` rows are below the prefix, none of them is open, and no run is."""
        query = text(
            "SELECT count(*) >= :count AND count(*) FILTER (WHERE state = ANY (:open)) = 0"
            " AND NOT EXISTS (SELECT FROM runs WHERE state <> 'closed')"
            " FROM objects WHERE starts_with(key, :prefix)"
        )
        with database.transaction(self.engine) as connection:
            return bool(connection.execute(query, {"count": count, "open": sorted(OPEN), "prefix": prefix}).scalar())

    def held(self, route: str = "recordings") -> str | None:
        """Why a route starts nothing."""
        query = text("SELECT held_reason FROM route_status WHERE route = :route")
        with database.transaction(self.engine) as connection:
            return connection.execute(query, {"route": route}).scalar()

    def execute(self, *statements: str) -> None:
        """Change something, as an administrator would."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in statements:
                connection.execute(text(statement))

    def describe(self, prefix: str = "") -> str:
        """For a failure's message: rows and runs, a line each."""
        rows = [_line(row, "id state key etag attempt crashes reason run_id") for row in self.rows(prefix)]
        open_runs = [run for run in self.runs() if run["state"] != "closed"]
        runs = [_line(run, "run_id state airflow_state sends failures lease_owner due_at") for run in open_runs]
        return "\n".join([f"held: {self.held()}", *rows[:30], f"({len(rows)} rows)", *runs, f"({len(runs)} open runs)"])

    def close(self) -> None:
        """Leave the database."""
        self.engine.dispose()


def _line(row: Row, columns: str) -> str:
    return " ".join(f"{column}={str(row[column])[:120]}" for column in columns.split())


def await_terminal(
    ledger: LedgerView, prefix: str, count: int, seconds: float, more: Callable[[], str] = str
) -> list[Row]:
    """Wait until there are `count` rows below the prefix, all terminal, and no run is open; returns the rows."""

    def quiet() -> bool:
        try:
            return ledger.is_quiet(prefix, count)
        except LedgerUnavailable:  # a test may have killed it
            return False

    eventually(quiet, seconds, lambda: f"{count} rows at their end\n{ledger.describe(prefix)}\n{more()}")
    return ledger.rows(prefix)


def check(
    store: ObjectStore, ledger: LedgerView, prefix: str, puts: Iterable[Put], others: Mapping[Put, State] | None = None
) -> None:
    """Every version that was put is in exactly one row, in its state (done unless `others` says else); what is done
    has exactly one manifest and the bytes of a local conversion; nothing else is visible; no run is open."""
    states = dict.fromkeys(puts, State.DONE) | dict(others or {})
    rows = ledger.rows(prefix)
    found = sorted((row["key"], row["etag"], row["state"]) for row in rows)
    assert found == sorted((put.key, put.etag, str(state)) for put, state in states.items()), ledger.describe(prefix)
    listed = {(info.key, info.etag) for info in store.list(RAW, prefix)}
    assert listed <= {(put.key, put.etag) for put in states}, "the bucket holds versions that the test did not put"
    assert [run["run_id"] for run in ledger.runs() if run["state"] != "closed"] == []
    received = {(row["key"], row["etag"]): utc_text(row["received_at"].astimezone(UTC)) for row in rows}
    results = {row["result"] for row in rows if row["state"] == State.DONE}
    done = [put for put, state in states.items() if state is State.DONE]
    assert results == {put.folder + MANIFEST for put in done}
    expected: dict[str, bytes] = {}
    for put in done:
        expected |= {put.folder + name: content for name, content in check_result(store, put, received).items()}
    visible = {info.key for info in store.list(PROCESSED, prefix)}
    latest = {latest_key(put.key) for put in done}
    assert visible == {*expected, *(put.folder + MANIFEST for put in done), *latest}
    for put in done:
        check_latest(store, put, {other for other in done if other.key == put.key})


class World:
    """A bucket and a ledger with processes around them. A test's keys lie below `prefix`, which nobody else uses."""

    def __init__(self, store: ObjectStore, database_url: str, logs: Path) -> None:
        self.prefix = f"f-{uuid4().hex[:8]}/"
        self.store = store
        self.url = database_url
        self.ledger = LedgerView(database_url)
        self._logs = logs

    def put(self, name: str, content: bytes) -> Put:
        """Put an object below the prefix, as soon as the store takes it."""
        key = self.prefix + name

        def etag() -> str | None:
            try:
                return self.store.put(RAW, key, content)
            except StoreUnavailable:  # a test may have killed it
                return None

        return Put(key, eventually(etag, 60, self.logs), content)

    def await_terminal(self, count: int, seconds: float = 60) -> list[Row]:
        """Wait until all of the test's rows are at their end."""
        return await_terminal(self.ledger, self.prefix, count, seconds, self.logs)

    def check(self, *puts: Put, others: Mapping[Put, State] | None = None) -> None:
        """Hold bucket, ledger and results against each other."""
        check(self.store, self.ledger, self.prefix, puts, others)

    def logs(self) -> str:
        """The ends of all logs."""
        return tails(self._logs)


def check_result(store: ObjectStore, put: Put, received: Mapping[tuple[str, str], str]) -> dict[str, bytes]:
    """The manifest tells the truth and the outputs are the golden ones; returns them by name."""
    outputs = golden(put.content, received[put.key, put.etag])
    manifest = read_json(store, put.folder + MANIFEST)
    source = {"bucket": RAW, "key": put.key, "etag": put.etag, "size": len(put.content)}
    assert manifest["source"] == source
    tables = {output["name"]: output["sha256"] for output in manifest["outputs"]}
    assert tables == {n: sha256(content).hexdigest() for n, content in outputs.items() if "/" not in n}  # no pictures
    for name, content in outputs.items():
        assert store.get(PROCESSED, put.folder + name, limit=SMALL)[0] == content, f"{put.key}: {name} is not golden"
    return outputs


def check_latest(store: ObjectStore, put: Put, versions: set[Put]) -> None:
    """`latest.json` names the version that is listed now, or one of those that were."""
    named = read_json(store, latest_key(put.key))["manifest"]
    try:
        now = store.stat(RAW, put.key).etag
    except ObjectNotFound:
        now = None
    listed = {version for version in versions if version.etag == now} or versions
    assert named in {version.folder + MANIFEST for version in listed}


def check_partial(store: ObjectStore, put: Put, processed_at: str = "") -> None:
    """After a crash: what is visible has its golden bytes, and where there is a manifest nothing is missing."""
    outputs = golden(put.content, processed_at)
    seen = {info.key.removeprefix(put.folder): info.key for info in store.list(PROCESSED, put.folder)}
    manifest = seen.pop(MANIFEST, None)
    for name, key in seen.items():
        assert store.get(PROCESSED, key, limit=SMALL)[0] == outputs[name], f"{name} is partly visible"
    if manifest is not None:
        assert set(seen) == set(outputs)


def golden(content: bytes, processed_at: str) -> dict[str, bytes]:
    """The outputs of a recording by name, from a conversion here and now, where nothing fails.

    `processed_at` is only part of recordings that are CSV text.
    """
    return _golden(content, "" if content.startswith(MCAP_MAGIC) else processed_at)


@functools.lru_cache(maxsize=256)
def _golden(content: bytes, processed_at: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        recording, folder = Path(name) / "recording", Path(name) / "results"
        recording.write_bytes(content)
        folder.mkdir()
        conversion = convert(recording, folder, processed_at=processed_at)
        outputs = {output.name: output.path.read_bytes() for output in conversion.outputs}
        for output in conversion.outputs:
            if output.folder:
                outputs |= {f"{output.pictures}/{path.name}": path.read_bytes() for path in output.folder.iterdir()}
        return outputs


def read_json(store: ObjectStore, key: str) -> dict[str, Any]:
    """A small JSON object of the bucket of results."""
    value = json.loads(store.get(PROCESSED, key, limit=SMALL)[0])
    assert isinstance(value, dict)
    return value


def tails(folder: Path) -> str:
    """The ends of all logs of a folder, for a failure's message."""
    logs = sorted(folder.rglob("*.log"))
    return "\n".join(f"== {log.relative_to(folder)}\n" + "\n".join(process.tail(log, 15)) for log in logs)
