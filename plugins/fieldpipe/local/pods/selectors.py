"""Label and field selectors, as a Kubernetes list takes them (Kubernetes documentation, "Labels and Selectors")."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from fieldpipe.local.pods.refusal import bad_request

Document = dict[str, Any]
Matcher = Callable[[Document], bool]
_LabelTest = Callable[[Mapping[str, str]], bool]

_REQUIREMENT = re.compile(
    r"""\s*(?P<not>!)?\s*(?P<key>[A-Za-z0-9][A-Za-z0-9._/-]*)\s*
        (?:(?P<sign>==|=|!=)\s*(?P<value>[A-Za-z0-9._-]*)
          |(?P<word>in|notin)\s*\((?P<values>[^()]*)\))?
        \s*(?:,|$)""",
    re.VERBOSE,
)


def matcher(labels: str, fields: str, known_fields: Collection[str]) -> Matcher:
    """A test for documents, from the texts of a labelSelector and a fieldSelector (either may be empty).

    Raises Refusal (400) when a text cannot be read or names a field that is not in `known_fields`.
    """
    label_test = parse_labels(labels)
    field_tests = [_field_test(part, known_fields) for part in fields.split(",") if part.strip()]
    return lambda document: (
        label_test(document["metadata"].get("labels") or {}) and all(test(document) for test in field_tests)
    )


def parse_labels(text: str) -> _LabelTest:
    """A test for labels: `k`, `!k`, `k=v`, `k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, joined by commas.

    Raises Refusal (400).
    """
    tests: list[_LabelTest] = []
    position = 0
    while position < len(text):
        requirement = _REQUIREMENT.match(text, position)
        if requirement is None or (requirement["not"] and (requirement["sign"] or requirement["word"])):
            raise bad_request(f"unable to parse requirement: {text[position:]!r} in labelSelector {text!r}")
        tests.append(_label_test(requirement))
        position = requirement.end()
    return lambda labels: all(test(labels) for test in tests)


def _label_test(requirement: re.Match[str]) -> _LabelTest:
    key = requirement["key"]
    if requirement["sign"]:
        wanted = {requirement["value"]}
    elif requirement["word"]:
        wanted = {value.strip() for value in requirement["values"].split(",")}
    elif requirement["not"]:
        return lambda labels: key not in labels
    else:
        return lambda labels: key in labels
    if requirement["sign"] == "!=" or requirement["word"] == "notin":
        return lambda labels: labels.get(key) not in wanted  # a missing key is "not in" too
    return lambda labels: labels.get(key) in wanted


def _field_test(part: str, known: Collection[str]) -> Matcher:
    read = re.fullmatch(r"\s*([A-Za-z.]+)\s*(==|=|!=)\s*(.*?)\s*", part)
    if read is None:
        raise bad_request(f"invalid field selector: {part!r}")
    field, sign, wanted = read.groups()
    if field not in known:
        raise bad_request(f"field label not supported: {field}")
    return lambda document: (_value(document, field) == wanted) is (sign != "!=")


def _value(document: Document, path: str) -> str:
    value: Any = document
    for name in path.split("."):
        value = value.get(name, "") if isinstance(value, dict) else ""
    return str(value)
