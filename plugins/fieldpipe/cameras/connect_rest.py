"""Kafka Connect's REST API, as far as sinks need it. Source: Kafka's documentation, "Kafka Connect", "REST API"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import urllib3

from fieldpipe.errors import ConfigurationError, PermanentError, TransientError
from fieldpipe.settings import ConnectSettings

Method = Literal["GET", "PUT", "POST", "DELETE"]

SECONDS = urllib3.Timeout(connect=5, read=95)  # the worker itself gives up after 90

_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class ConnectUnavailable(TransientError):
    """Kafka Connect did not answer, or is busy: its workers share out connectors anew, or one has just started."""


@dataclass(frozen=True, slots=True)
class Part:
    """A connector itself, or one of its tasks. `reason` is the first line of the error that it failed with."""

    name: str
    state: str
    worker: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """How a connector is: itself first, then its tasks."""

    parts: tuple[Part, ...]

    @property
    def is_running(self) -> bool:
        """Itself and at least one task, all of them."""
        return len(self.parts) > 1 and all(part.state == "RUNNING" for part in self.parts)

    @property
    def failed(self) -> tuple[Part, ...]:
        """What nobody but a restart brings back."""
        return tuple(part for part in self.parts if part.state == "FAILED")


@dataclass(frozen=True, slots=True)
class Validation:
    """What the plug-in says of a configuration: errors by property, and the values as its worker sees them."""

    errors: Mapping[str, str]
    values: Mapping[str, str]


class Connect:
    """A worker, which speaks for all of its group. Its methods raise ConnectUnavailable, PermanentError."""

    def __init__(self, settings: ConnectSettings) -> None:
        """Nothing is sent yet. Raises ConfigurationError."""
        self.url = settings.url.rstrip("/")
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).netloc:
            raise ConfigurationError(f"CONNECT_URL: {settings.url!r} is not a URL such as http://kafka-connect:8083")
        self._pool = urllib3.PoolManager(timeout=SECONDS, retries=False)

    def version(self) -> str:
        """Of the worker."""
        answer = self._call("GET", "/")
        if not isinstance(answer, Mapping) or "version" not in answer:
            raise ConfigurationError(f"CONNECT_URL: what answers at {self.url} is not Kafka Connect")
        return str(answer["version"])

    def plugins(self) -> dict[str, str]:
        """The version of each plug-in by its class: connectors, converters and transforms."""
        found = self._call("GET", "/connector-plugins?connectorsOnly=false")
        return {plugin["class"]: plugin.get("version") or "" for plugin in found}

    def validate(self, name: str, configuration: Mapping[str, str]) -> Validation:
        """Have a configuration looked at; nothing is changed."""
        plugin = quote(configuration["connector.class"], safe="")
        answer = self._call("PUT", f"/connector-plugins/{plugin}/config/validate", {"name": name, **configuration})
        values = [each["value"] for each in answer["configs"]]
        return Validation(
            errors={value["name"]: "; ".join(value["errors"]) for value in values if value["errors"]},
            values={value["name"]: value["value"] for value in values if value["value"] is not None},
        )

    def configuration(self, name: str) -> dict[str, str] | None:
        """A connector's; None: there is no such connector."""
        found = self._call("GET", f"{_path(name)}/config", absent=None)
        return {key: value for key, value in found.items() if key != "name"} if found is not None else None

    def create(self, name: str, configuration: Mapping[str, str]) -> None:
        """Register a new connector. Where one has appeared meanwhile, that is ConnectUnavailable: look again."""
        self._call("POST", "/connectors", {"name": name, "config": dict(configuration)})

    def update(self, name: str, configuration: Mapping[str, str]) -> None:
        """Give a connector another configuration; its tasks start anew."""
        self._call("PUT", f"{_path(name)}/config", dict(configuration))

    def status(self, name: str) -> Status | None:
        """None: there is no such connector, or it is so new that nobody has said how it is."""
        found = self._call("GET", f"{_path(name)}/status", absent=None)
        if found is None:
            return None
        tasks = [_part(f"task {task['id']}", task) for task in found["tasks"]]
        return Status((_part(name, found["connector"]), *tasks))

    def restart(self, name: str) -> None:
        """Start anew what has failed, the connector or tasks of it (Kafka 3.0 and newer)."""
        self._call("POST", f"{_path(name)}/restart?includeTasks=true&onlyFailed=true")

    def remove(self, name: str) -> None:
        """Delete a connector; what it has stored stays. Its place in the topics stays with its consumer group."""
        self._call("DELETE", _path(name), absent=None)

    def _call(self, method: Method, path: str, body: Mapping[str, Any] | None = None, **absent: Any) -> Any:
        """The answer; the value of `absent`, where one is given, when there is no such thing."""
        what = f"Kafka Connect at {self.url}, {method} {path.partition('?')[0]}"
        try:
            answer = (
                self._pool.request(method, self.url + path, json=body)
                if body
                else self._pool.request(method, self.url + path)
            )
            said = answer.json() if answer.data else None
        except urllib3.exceptions.HTTPError as error:
            raise ConnectUnavailable(f"{what}: no answer: {error}") from error
        except ValueError as error:
            raise ConfigurationError(f"{what}: the answer is not JSON: is that Kafka Connect?") from error
        if answer.status == HTTPStatus.NOT_FOUND and "absent" in absent:
            return absent["absent"]
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise _refusal(what, answer.status, said)
        return said


def _refusal(what: str, status: int, said: Any) -> Exception:
    message = said.get("message", "") if isinstance(said, Mapping) else ""
    reason = f"{what}: {status}: {message or 'refused'}"
    if "ConfigException" in message:  # a 500 as well: of a configuration provider
        return PermanentError(reason)
    if status == HTTPStatus.CONFLICT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ConnectUnavailable(reason)
    return ConfigurationError(reason) if status in _REFUSED else PermanentError(reason)


def _path(name: str) -> str:
    return f"/connectors/{quote(name, safe='')}"


def _part(name: str, found: Mapping[str, Any]) -> Part:
    trace = (found.get("trace") or "").strip()
    causes = [line.removeprefix("Caused by: ") for line in trace.splitlines() if line.startswith("Caused by: ")]
    reason = causes[-1] if causes else trace.partition("\n")[0]
    return Part(name, found["state"], found["worker_id"], reason)
