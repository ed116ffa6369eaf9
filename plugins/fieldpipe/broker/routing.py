"""Routing: which readings go to which sinks. Without a file every reading goes to every sink.

Whoever holds the Routes calls `reload` from time to time; a changed file counts from then on, if it is right.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fieldpipe import logs
from fieldpipe.broker.conditions import Content, Rules
from fieldpipe.broker.reading import Reading
from fieldpipe.broker.rules import parse
from fieldpipe.errors import ConfigurationError

log = logs.get(__name__)


class Routes:
    """The rules that count now."""

    def __init__(self, path: Path | None, sinks: Collection[str]) -> None:
        self._path = path
        self._sinks = tuple(sinks)
        self._rules = Rules((), frozenset(sinks))
        self._seen: bytes | None = None  # the file, right or wrong

    @classmethod
    def load(cls, path: Path | None, sinks: Collection[str]) -> Routes:
        """Those of a file, to the sinks that are switched on. Raises ConfigurationError with all mistakes in it."""
        routes = cls(path, sinks)
        if path is not None:
            routes._seen = _read(path)
            routes._rules = _parse(path, routes._seen, routes._sinks)
        return routes

    def sinks_for(self, reading: Reading) -> tuple[str, ...]:
        """Those of all rules that are about it, each once, in the order of the sinks."""
        rules, content = self._rules, Content(reading)
        about_it = [rule.sinks for rule in rules.rules if rule.wants(content)]
        wanted = frozenset().union(*about_it) if about_it else rules.otherwise
        return tuple(sink for sink in self._sinks if sink in wanted)

    def reload(self) -> bool:
        """Take a changed file; whether there was one. A wrong one is told once, and the rules stay as they are."""
        if self._path is None:
            return False
        try:
            text = _read(self._path)
        except ConfigurationError as error:
            if self._seen is not None:
                log.error("routes_kept", reason=str(error))  # noqa: TRY400 -- the message says it all
            self._seen = None
            return False
        if text == self._seen:
            return False
        self._seen = text
        try:
            self._rules = _parse(self._path, text, self._sinks)
        except ConfigurationError as error:
            log.error("routes_kept", reason=str(error))  # noqa: TRY400 -- the message says it all
            return False
        log.info("routes_loaded", path=str(self._path), rules=len(self._rules.rules))
        return True


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"KRAKENB_ROUTES: {path} cannot be read: {error}") from error


def _parse(path: Path, text: bytes, sinks: Collection[str]) -> Rules:
    try:
        return parse(text, sinks)
    except ConfigurationError as error:
        raise ConfigurationError(f"KRAKENB_ROUTES: {path}: {error}") from error
