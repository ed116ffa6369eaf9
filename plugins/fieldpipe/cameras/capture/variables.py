"""The sensor's variables, with their types: from the environment, or from files that are named as they are, which win.

Files are Docker's secrets, or systemd's credentials: in /run/secrets, or where CAMERA_SECRETS says. What is wrong is
collected, so that a person reads all of it at once; what was asked for is remembered, so that the rest can be named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from fieldpipe.errors import ConfigurationError

SECRETS = "/run/secrets"

_OURS = re.compile(r"(SS|SSCFG|EXT|PICAMERA2?|CAMERA)_[A-Z0-9_]+|SCHEDULE|LOG_LEVEL|LOG_FORMAT")
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Variables:
    """What was given. A variable that is empty is not there."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: text.strip() for name, text in values.items() if text.strip() and _OURS.fullmatch(name)}
        self._problems: list[str] = []
        self.asked: set[str] = set()

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Variables:
        """Those of the environment and the secrets. Raises ConfigurationError for a secret that cannot be read."""
        folder = Path(environment.get("CAMERA_SECRETS") or SECRETS)
        try:
            files = [file for file in folder.iterdir() if _OURS.fullmatch(file.name)] if folder.is_dir() else []
            secrets = {file.name: file.read_text() for file in files}
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"the secrets in {folder} cannot be read: {error}") from error
        found = cls({**environment, **secrets})
        found.asked.add("CAMERA_SECRETS")
        return found

    def text(self, *names: str) -> str | None:
        """The first of these that is there."""
        self.asked.update(names)
        return next((self._values[name] for name in names if name in self._values), None)

    def required(self, name: str) -> str:
        """A text; it is a problem if it is missing."""
        text = self.text(name)
        if text is None:
            self.complain(name, "it is missing")
        return text or ""

    def choice(self, name: str, choices: Iterable[str], default: str) -> str:
        """One of several words."""
        text, allowed = self.text(name), tuple(choices)
        if text is not None and text not in allowed:
            self.complain(name, f"{text!r} is not supported, only {', '.join(allowed)}")
            return default
        return text or default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Yes or no."""
        text = self.text(name)
        if text is not None and text.lower() not in _WORDS:
            self.complain(name, f"{text!r} is neither true nor false")
        return default if text is None else _WORDS.get(text.lower(), default)

    def whole(self, name: str, default: int, *, least: int = 0) -> int:
        """A whole number."""
        text = self.text(name)
        if text is None:
            return default
        if not text.isdecimal() or int(text) < least:
            self.complain(name, f"{text!r} is not a whole number from {least} on")
            return default
        return int(text)

    def positive(self, *names: str) -> float | None:
        """A number above zero: the first of these that is there."""
        text = self.text(*names)
        if text is None:
            return None
        number = coerced(text)
        if isinstance(number, str) or not 0 < number < float("inf"):
            self.complain(names[0], f"{text!r} is not a number above zero")
            return None
        return float(number)

    def beginning_with(self, prefix: str) -> dict[str, str]:
        """All of this prefix, with the rest of their names."""
        found = {name: text for name, text in self._values.items() if name.startswith(prefix)}
        self.asked.update(found)
        return {name.removeprefix(prefix): text for name, text in sorted(found.items())}

    def has_any(self, prefix: str) -> bool:
        """Whether there is one of this prefix."""
        return any(name.startswith(prefix) for name in self._values)

    def complain(self, name: str, problem: str) -> None:
        """Say what is wrong with one of them; the text must not show a secret."""
        self._problems.append(f"{name}: {problem}")

    def check(self) -> None:
        """Raise one ConfigurationError for all that was complained about."""
        if self._problems:
            raise ConfigurationError("settings: " + "; ".join(self._problems) + " (see docs/cameras.md)")

    def unknown(self, *prefixes: str) -> list[str]:
        """Those of these prefixes that nobody has asked for."""
        return sorted(name for name in self._values if name.startswith(prefixes) and name not in self.asked)


def coerced(text: str) -> float | int | str:
    """As the original does it: a number with a dot, a whole number, or a text."""
    for kind in (float,) if "." in text else (int,):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
