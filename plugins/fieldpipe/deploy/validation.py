"""What others know about manifests: the API's schemas, and two linters."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import kubernetes_validate

from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.rules.fault import Fault, fault
from fieldpipe.errors import PermanentError

VERSIONS = ("1.32", "1.34", "1.37")  # of Kubernetes
EXTENSIONS = ("ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PodMonitor")  # their schemas are elsewhere


class Schemas:
    """Asks the schemas about objects, about the same one once."""

    def __init__(self, versions: Iterable[str] = VERSIONS) -> None:
        self._versions = tuple(versions)
        self._asked: dict[str, list[str]] = {}

    def faults(self, manifests: Manifests) -> Iterator[Fault]:
        """Fields that a version of Kubernetes does not know, or that have other values than it expects."""
        for each in manifests.objects:
            if each.kind not in EXTENSIONS:
                asked = json.dumps(each.data, sort_keys=True, default=str)
                if asked not in self._asked:
                    self._asked[asked] = [text for version in self._versions if (text := complaint(each.data, version))]
                yield from (fault(each, text) for text in self._asked[asked])


def complaint(data: Mapping[str, object], version: str) -> str | None:
    """What a version of Kubernetes has against an object."""
    try:
        kubernetes_validate.validate(dict(data), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        place = ".".join(map(str, error.absolute_path)) or "the object"
        return f"Kubernetes {version} refuses {place}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError:
        return f"Kubernetes {version} does not know {data.get('apiVersion')} {data.get('kind')}"
    return None


def yamllint(project: Path, folders: Iterable[str]) -> list[Fault]:
    """What yamllint says about our files, by .yamllint."""
    done = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", "--format=parsable", *folders],
        capture_output=True,
        text=True,
        cwd=project,
    )
    return [Fault("yamllint", line) for line in (done.stdout + done.stderr).splitlines()]


@dataclass(frozen=True)
class Failure:
    """A check of checkov that an object (`Kind.name`) of a file fails."""

    check: str
    name: str
    about: str
    file: str


@dataclass(frozen=True)
class Accepted:
    """A check of checkov that we fail on purpose. `objects`: patterns of `Kind.name`."""

    check: str
    objects: tuple[str, ...]
    reason: str

    def covers(self, failure: Failure) -> bool:
        return failure.check == self.check and any(fnmatchcase(failure.about, pattern) for pattern in self.objects)


def read_accepted(file: Path) -> list[Accepted]:
    """Our list. Raises PermanentError when a reason is missing."""
    entries = tomllib.loads(file.read_text())["accepted"]
    for entry in entries:
        if len(entry.get("reason", "")) < 10:
            raise PermanentError(f"{file}: {entry.get('check')} needs a reason")
    return [Accepted(entry["check"], tuple(entry["objects"]), entry["reason"]) for entry in entries]


def checkov(program: Path, files: Iterable[Path]) -> list[Failure]:
    """What checkov has against the files. Raises PermanentError when it gives no report."""
    command = [str(program), "--framework", "kubernetes", "--skip-download", "--quiet", "--compact", "--output=json"]
    done = subprocess.run(
        [*command, *(word for file in files for word in ("--file", str(file)))], capture_output=True, text=True
    )
    try:
        return [_failure(each) for each in json.loads(done.stdout)["results"]["failed_checks"]]
    except (ValueError, KeyError, TypeError) as error:
        raise PermanentError(f"checkov gave no report: {done.stderr[-2000:] or done.stdout[-2000:]}") from error


def not_accepted(failures: Iterable[Failure], accepted: Iterable[Accepted]) -> list[Fault]:
    """Failures that are not on our list."""
    return [
        Fault(f"{each.file}: {each.about}", f"{each.check}: {each.name}")
        for each in failures
        if not any(one.covers(each) for one in accepted)
    ]


def not_needed(failures: Iterable[Failure], accepted: Iterable[Accepted]) -> list[Fault]:
    """What is on our list, and nothing of all overlays fails it."""
    alone = [Accepted(one.check, (pattern,), one.reason) for one in accepted for pattern in one.objects]
    failures = list(failures)
    return [
        Fault(f"{one.check} for {one.objects[0]}", "is accepted and does not fail any more: take it off the list")
        for one in alone
        if not any(one.covers(each) for each in failures)
    ]


def _failure(entry: Mapping[str, str]) -> Failure:
    kind, _, name = entry["resource"].split(".", 2)  # Kind.namespace.name
    return Failure(entry["check_id"], entry["check_name"], f"{kind}.{name}", Path(entry["file_path"]).stem)
