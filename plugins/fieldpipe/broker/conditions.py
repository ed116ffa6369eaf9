"""Conditions of routing: what can be asked of a reading, and of a value in it. Pure."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from typing import Any

from fieldpipe.broker.reading import BadReading, Reading

BOUNDS: Mapping[str, Callable[[float, float], bool]] = {
    "above": operator.gt,
    "at_least": operator.ge,
    "below": operator.lt,
    "at_most": operator.le,
}

Test = Callable[[Any], bool]
"""Of a value: one of the metadata, or one that a JSON path found."""


class Content:
    """A reading whose payload is parsed when the first rule looks into it, and not again."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    @cached_property
    def document(self) -> tuple[Any, ...]:
        """The payload's JSON; empty where it is none."""
        try:
            return (self.reading.json(),)
        except BadReading:
            return ()


Condition = Callable[[Content], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """Readings that meet all conditions go to these sinks."""

    conditions: tuple[Condition, ...]  # the cheap ones first
    sinks: frozenset[str]

    def wants(self, content: Content) -> bool:
        """Whether it is about this reading."""
        return all(condition(content) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Rules:
    """All of a file, and where that goes which no rule is about."""

    rules: tuple[Rule, ...]
    otherwise: frozenset[str]


def of_collector(test: Test) -> Condition:
    """About the collector; in generation 1 it is the provider."""
    return lambda content: test(content.reading.collector)


def of_content_type(test: Test) -> Condition:
    """About the content type without its parameters (`; charset=...`)."""
    return lambda content: test(content.reading.content_type.partition(";")[0].strip())


def of_metadata(name: str, test: Test) -> Condition:
    """About one of the metadata, which has to be there."""
    return lambda content: name in content.reading.metadata and test(content.reading.metadata[name])


def of_payload(find: Callable[[Any], Sequence[Any]], test: Test) -> Condition:
    """About any of the values that `find` finds in the payload's JSON."""

    def matches(content: Content) -> bool:
        try:
            return any(test(value) for document in content.document for value in find(document))
        except Exception:  # noqa: BLE001 -- whatever a path trips over in somebody's payload, it is not what was meant
            return False

    return matches


def like(patterns: Sequence[Any], flags: re.RegexFlag = re.NOFLAG) -> Test:
    """One of these, in which `*`, `?` and `[...]` are those of a shell. What is no text is compared as JSON."""
    matches = re.compile("|".join(translate(as_text(pattern)) for pattern in patterns), flags).fullmatch
    return lambda value: matches(as_text(value)) is not None


def within(bounds: Mapping[str, float]) -> Test:
    """A number, or the text of one (many sensors send "25.6"), within all bounds; they are named as in BOUNDS."""

    def test(value: Any) -> bool:
        number = as_number(value)
        return number is not None and all(BOUNDS[name](number, bound) for name, bound in bounds.items())

    return test


def as_text(value: Any) -> str:
    """Text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def as_number(value: Any) -> float | None:
    """None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
