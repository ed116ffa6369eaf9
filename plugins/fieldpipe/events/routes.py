"""Routes: which objects start which DAG. Read once from a TOML file (`routes.toml` beside this one by default)."""

import os
import re
import tomllib
from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fieldpipe.errors import ConfigurationError
from fieldpipe.handover import REPORTS


class Route(BaseModel):
    """One rule. `routes.toml` says what the fields mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")  # part of run ids
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    bucket_variable: str | None = None
    optional: bool = False
    patterns: tuple[str, ...] = Field(min_length=1)
    dag_id: str = Field(pattern=r"^[A-Za-z0-9_.~-]{1,250}$")
    batch_limit: int = Field(default=100, ge=1, le=1000)
    batch_bytes: int = Field(default=1024**3, ge=1)
    max_runs: int = Field(default=4, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _environment_names_the_bucket(cls, fields: Any) -> Any:
        named = os.environ.get(str(fields.get("bucket_variable"))) if isinstance(fields, dict) else None
        return {**fields, "bucket": named} if named else fields

    @field_validator("patterns")
    @classmethod
    def _patterns_have_text(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if not all(patterns):
            raise ValueError("a pattern is empty")
        return patterns

    def matches(self, bucket: str, key: str) -> bool:
        return bucket == self.bucket and self._expression.fullmatch(key) is not None

    @cached_property
    def prefixes(self) -> tuple[str, ...]:
        """What the keys of each pattern begin with, whatever they are."""
        return tuple(_literal_start(pattern) for pattern in self.patterns)

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile("|".join(_translate(pattern) for pattern in self.patterns), re.DOTALL)


class Routes:
    """All routes, and the guard against eating our own results."""

    def __init__(self, routes: Sequence[Route], *, output_bucket: str) -> None:
        self._routes = tuple(routes)
        self._output_bucket = output_bucket
        self.by_name = {route.name: route for route in routes}
        self.buckets = tuple(sorted({route.bucket for route in routes}))
        self.required_buckets = tuple(sorted({route.bucket for route in routes if not route.optional}))

    def match(self, bucket: str, key: str) -> Route | None:
        """The first route that wants this object."""
        if self.is_output(bucket, key):
            return None
        return next((route for route in self._routes if route.matches(bucket, key)), None)

    def max_runs(self, name: str) -> int:
        """How many runs of a route may be in flight; of one that is not in the file, one."""
        return self.by_name[name].max_runs if name in self.by_name else 1

    def prefixes(self, bucket: str) -> tuple[str, ...]:
        """Where the wanted objects of a bucket lie: no key begins with two of these."""
        prefixes = {prefix for route in self._routes if route.bucket == bucket for prefix in route.prefixes}
        return tuple(sorted(p for p in prefixes if not any(p != other and p.startswith(other) for other in prefixes)))

    def is_output(self, bucket: str, key: str) -> bool:
        """Whether Fieldpipe itself writes there. Such objects never trigger, whatever the routes say."""
        return bucket == self._output_bucket or key.startswith(f"{REPORTS}/")


def load_routes(file: Path | None, *, output_bucket: str) -> Routes:
    """Read the routes. Raises one ConfigurationError that lists every mistake of the file."""
    name = str(file) if file else "routes.toml"
    try:
        text = file.read_text() if file else resources.files(__package__).joinpath(name).read_text()
        document = _File.model_validate(tomllib.loads(text))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{name}: {error}") from error
    except ValidationError as error:
        complaints = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigurationError(f"{name}: " + "; ".join(complaints)) from error
    complaints = _contradictions(document.route, output_bucket)
    if complaints:
        raise ConfigurationError(f"{name}: " + "; ".join(complaints))
    return Routes(document.route, output_bucket=output_bucket)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    route: list[Route] = Field(min_length=1)


def _contradictions(routes: Sequence[Route], output_bucket: str) -> list[str]:
    names = [route.name for route in routes]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [f"two routes are named {name}" for name in twice] + [
        f"route {route.name} reads from {output_bucket}, where results go: it would never trigger"
        for route in routes
        if route.bucket == output_bucket
    ]


def _translate(pattern: str) -> str:
    """A pattern as a regular expression."""
    start, suffix = _parted(pattern)
    return f"{_glob(start)}(?i:{_glob(suffix)})"


def _literal_start(pattern: str) -> str:
    return re.split(r"[*?]", _parted(pattern)[0])[0]


def _parted(pattern: str) -> tuple[str, str]:
    """A pattern in two: only what follows the last dot of the last part ignores case."""
    folders, slash, name = pattern.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    return (folders + slash + stem, dot + suffix) if dot else (pattern, "")


def _glob(text: str) -> str:
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    return "".join(special.get(part, re.escape(part)) for part in parts)
