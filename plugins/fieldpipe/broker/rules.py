"""Rules of routing: what a YAML file says, as something that can be asked. docs/broker.md is its manual.

Pure, but for the two parsers. The whole file is read before anybody complains, so that a person mends it once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import yaml

from fieldpipe.broker import conditions
from fieldpipe.broker.conditions import BOUNDS, Condition, Rule, Rules, Test, as_number
from fieldpipe.broker.sinks.registry import SWITCHES
from fieldpipe.errors import ConfigurationError

_KEYS = ("name", "collector", "provider", "content_type", "metadata", "payload", "to")


def parse(text: bytes, sinks: Collection[str]) -> Rules:
    """The rules of a file. `sinks`: those that are switched on. Raises ConfigurationError with all mistakes."""
    try:
        document = yaml.load(text, _OnceEach)  # noqa: S506 -- it is a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"this is no YAML: {error}") from error
    reader = _Reader(sinks)
    rules = reader.file(document)
    if reader.complaints:
        raise ConfigurationError("; ".join(reader.complaints))
    return rules


class _Reader:
    """Walks through the file and collects what is wrong in it."""

    def __init__(self, sinks: Collection[str]) -> None:
        self._sinks = sinks
        self.complaints: list[str] = []

    def file(self, document: Any) -> Rules:
        if not isinstance(document, dict) or not isinstance(document.get("rules"), list):
            self.complaints.append("a file of routes is a mapping whose `rules` are a list")
            return Rules((), frozenset())
        self._keys("the file", document, ("rules", "otherwise"))
        rules = tuple(self._rule(f"rule {number}", rule) for number, rule in enumerate(document["rules"], start=1))
        return Rules(rules, self._to("otherwise", document.get("otherwise", "all")))

    def _rule(self, where: str, rule: Any) -> Rule:
        if not isinstance(rule, dict):
            self.complaints.append(f"{where} is no mapping")
            return Rule((), frozenset())
        if rule.get("name"):
            where = f"{where} ({rule['name']})"
        self._keys(where, rule, _KEYS)
        if "to" not in rule:
            self.complaints.append(f"{where} has no `to`: say which sinks its readings go to ([]: none)")
        if "collector" in rule and "provider" in rule:
            self.complaints.append(f"{where} has both `collector` and `provider`, which mean the same")
        return Rule(tuple(self._conditions(where, rule)), self._to(f"{where}: to", rule.get("to", [])))

    def _conditions(self, where: str, rule: Mapping[str, Any]) -> Iterator[Condition]:
        for key in ("collector", "provider"):
            if key in rule:
                yield conditions.of_collector(self._test(f"{where}: {key}", rule[key]))
        if "content_type" in rule:
            yield conditions.of_content_type(self._test(f"{where}: content_type", rule["content_type"], re.IGNORECASE))
        for name, expected in self._mapping(f"{where}: metadata", rule.get("metadata", {})):
            yield conditions.of_metadata(name, self._test(f"{where}: metadata {name}", expected))
        for path, expected in self._mapping(f"{where}: payload", rule.get("payload", {})):
            yield conditions.of_payload(
                self._find(f"{where}: payload", path), self._test(f"{where}: payload {path}", expected)
            )

    def _keys(self, where: str, found: Mapping[Any, Any], right: Collection[str]) -> None:
        for key in found:
            if key not in right:
                self.complaints.append(f"{where}: there is no `{key}`{_nearest(str(key), right)}")

    def _to(self, where: str, named: Any) -> frozenset[str]:
        if named == "all":
            return frozenset(self._sinks)
        if not isinstance(named, list):
            self.complaints.append(f"{where} is neither a list of sinks nor `all`")
            return frozenset()
        for name in named:
            if name not in self._sinks:
                self.complaints.append(f"{where}: {self._unknown(str(name))}")
        return frozenset(str(name) for name in named)

    def _unknown(self, name: str) -> str:
        if name in SWITCHES:
            return f"`{name}` is not switched on: set {' or '.join(SWITCHES[name])}"
        return f"there is no sink `{name}`{_nearest(name, {*self._sinks, *SWITCHES})}"

    def _mapping(self, where: str, found: Any) -> Iterator[tuple[str, Any]]:
        if not isinstance(found, dict):
            self.complaints.append(f"{where} is no mapping")
            return
        for key, value in found.items():
            yield str(key), value

    def _test(self, where: str, expected: Any, flags: re.RegexFlag = re.NOFLAG) -> Test:
        if isinstance(expected, dict):
            return conditions.within(self._bounds(where, expected))
        patterns = expected if isinstance(expected, list) else [expected]
        if not patterns or any(isinstance(pattern, dict | list) for pattern in patterns):
            self.complaints.append(f"{where} is neither a pattern, a list of patterns nor {', '.join(BOUNDS)}")
            return conditions.like([])
        return conditions.like(patterns, flags)

    def _bounds(self, where: str, expected: Mapping[Any, Any]) -> Mapping[str, float]:
        self._keys(where, expected, BOUNDS)
        if not expected:
            self.complaints.append(f"{where} is empty")
        found: dict[str, float] = {}
        for name, bound in expected.items():
            number = as_number(bound)
            if number is None:
                self.complaints.append(f"{where}: `{name}` is no number")
            elif name in BOUNDS:
                found[name] = number
        return found

    def _find(self, where: str, path: str) -> Callable[[Any], list[Any]]:
        from jsonpath_ng.parser import parse as parse_path  # 5 MB and a tenth of a second, that most sites do without

        try:
            expression = parse_path(path)
        except Exception as error:  # noqa: BLE001 -- its parser and its lexer raise whatever they like
            self.complaints.append(f"{where}: `{path}` is no JSON path: {error}")
            return lambda _document: []
        return lambda document: [match.value for match in expression.find(document)]


def _nearest(name: str, right: Collection[str]) -> str:
    close = get_close_matches(name, right, 1)
    if close:
        return f", did you mean `{close[0]}`?"
    return f" (there is {', '.join(sorted(right))})" if right else " (there is none)"


class _OnceEach(yaml.SafeLoader):
    """YAML whose keys are there once: of two equal ones PyYAML would quietly take the second."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"`{twice[0]}` is there twice", node.start_mark)
        return super().construct_mapping(node, deep)
