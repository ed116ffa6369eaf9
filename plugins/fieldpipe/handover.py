"""What the rooms hand to each other: work for a pod, its reports, and where results lie in the bucket.

The dispatcher writes work and reads reports, tasks carry them, pods read work and write reports. None of them knows
another; the names and layouts they agree on live here. Described in docs/protocol.md.
"""

import json
import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from fieldpipe.errors import PermanentError

RUN_VARIABLE = "FIELDPIPE_RUN"  # the Airflow run id
TRY_VARIABLE = "FIELDPIPE_TRY"  # the task's try number, from 1
WORK_VARIABLE = "FIELDPIPE_WORK"  # the objects of the run, as `encode_work` writes them
MANIFEST = "manifest.json"
LATEST = "latest.json"
REPORTS = "_runs"
PIPELINE_VERSION = 2  # of recordings: raised when the same recording gives other bytes than before

_MAX_PREFIX_BYTES = 600
_MAX_PART_BYTES = 200  # stores that keep objects in files take 255 between two slashes
_UNFIT = set('\\:*?"<>|%#{}^~[]`')


class WorkItem(NamedTuple):
    """One object that a pod shall convert. `id` is the ledger's row; None when a person started the run by hand."""

    bucket: str
    key: str
    etag: str | None = None
    id: int | None = None
    version_id: str | None = None
    received: str | None = None  # when the event was received: ISO 8601, UTC


class Outcome(StrEnum):
    """What became of one object in one run."""

    CONVERTED = "converted"
    REJECTED = "rejected"  # permanent: the object cannot be converted
    GONE = "gone"  # no such object any more
    SUPERSEDED = "superseded"  # the object has another ETag now
    TRANSIENT = "transient"  # try again later


class Report(NamedTuple):
    """What a pod says about one object. `manifest` is the key of the result's manifest when converted."""

    outcome: Outcome
    reason: str = ""
    manifest: str | None = None

    def to_json(self) -> bytes:
        """UTF-8 JSON of one line."""
        return json.dumps(self._asdict(), sort_keys=True).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Report":
        """Raises PermanentError for text that no pod of ours wrote."""
        try:
            value = json.loads(text)
            return cls(Outcome(value["outcome"]), str(value["reason"]), value["manifest"])
        except (ValueError, KeyError, TypeError) as error:
            raise PermanentError(f"this is no report: {text[:200]!r}") from error


def encode_work(items: list[WorkItem]) -> str:
    """The items as JSON for an environment variable.

    `$` is written as its JSON escape: Kubernetes expands `$(NAME)` in environment values, so a key that is named
    `$(MINIO_SECRET_KEY)` would otherwise become the secret.
    """
    return json.dumps([item._asdict() for item in items], separators=(",", ":")).replace("$", "\\u0024")


def decode_work(text: str) -> list[WorkItem]:
    """What `encode_work` wrote. Raises PermanentError for anything else."""
    try:
        return [work_item(value) for value in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise PermanentError(f"{WORK_VARIABLE} is not a list of objects: {text[:200]!r}") from error


def work_item(value: dict[str, Any]) -> WorkItem:
    """One object of a run's conf (unknown fields are refused). Raises TypeError."""
    return WorkItem(**value)


def report_prefix(run_id: str) -> str:
    """Where the reports of a run lie in the bucket of results."""
    return f"{REPORTS}/{run_id}/"


def report_key(run_id: str, item_id: int | None, attempt: int) -> str:
    """Where a pod's report on one object of a run lies. A run started by hand has one object and no row."""
    return f"{report_prefix(run_id)}{'manual' if item_id is None else item_id}.{attempt}.json"


def result_prefix(key: str, etag: str, pipeline_version: int) -> str:
    """Where the results of an object version lie: `<key without suffix>/<etag>-p<version>/`."""
    return f"{_stem(key)}/{etag[:12]}-p{pipeline_version}/"


def latest_key(key: str) -> str:
    """The one object that is ever replaced: it names the newest result of a key."""
    return f"{_stem(key)}/{LATEST}"


def utc_text(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds: the form of every time that crosses a border."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def canonical_json(value: object) -> bytes:
    """JSON with one byte sequence per value: sorted keys, no clock, a final newline. What reruns must repeat."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"


def _stem(key: str) -> str:
    """The key without its suffix, as a path that is safe everywhere; injective, so no two keys share results."""
    *folders, name = key.split("/")
    base, dot, _ = name.rpartition(".")
    parts = [path_part(part) for part in [*folders, base if dot and base else name]]
    if parts[0].startswith("_"):  # `_runs/` and its like are ours
        parts[0] = "%5F" + parts[0][1:]
    return _cut("/".join(_cut(part, _MAX_PART_BYTES) for part in parts), _MAX_PREFIX_BYTES)


def _cut(text: str, limit: int) -> str:
    """The text, or its beginning and its hash: still different for different texts ("~" never occurs otherwise)."""
    if len(text.encode()) <= limit:
        return text
    import hashlib  # here: few keys are that long, and it brings OpenSSL, a twentieth of a converter's start

    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return text.encode()[:limit].decode(errors="ignore").rstrip("/%") + "~" + digest


def path_part(part: str) -> str:
    """A text without slashes as a part of a path that is safe everywhere; different texts stay different."""
    if part == "":
        return "%"  # "a//b" and "a/b" are two keys
    if part in (".", "..", LATEST, MANIFEST):  # the last two are files of ours, and no folder can have their name
        return part.replace(".", "%2E")
    return "".join(_percent(c) if c in _UNFIT or _invisible(c) else c for c in part)


def _invisible(character: str) -> bool:
    return character != " " and unicodedata.category(character)[0] in "CZ"


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())
