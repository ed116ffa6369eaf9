"""Any Kubernetes object, and how its fields are read: nested mappings and lists, as they come."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Object:
    """Any object."""

    data: Data

    @property
    def kind(self) -> str:
        return str(self.data.get("kind"))

    @property
    def name(self) -> str:
        return str(self.metadata.get("name") or self.metadata.get("generateName"))

    @property
    def metadata(self) -> Data:
        return self.data.get("metadata") or {}

    @property
    def labels(self) -> Mapping[str, str]:
        return self.metadata.get("labels") or {}

    @property
    def spec(self) -> Data:
        return self.data.get("spec") or {}

    def at(self, *path: str) -> Any:
        """What lies at a path; None where it ends early."""
        return at(self.data, *path)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def matches(selector: Data, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches labels. The empty one matches all."""
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()) and all(
        _expression(each, labels.get(each["key"])) for each in selector.get("matchExpressions") or ()
    )


def contents(source: Object) -> dict[str, Any]:
    """The keys and values of a ConfigMap or a Secret, as a pod sees them."""
    data = source.data.get("data") or {}
    if source.kind == "Secret":
        data = {key: base64.b64decode(value).decode() for key, value in data.items()}
    return {**data, **(source.data.get("stringData") or {})}


def at(data: Any, *path: str) -> Any:
    """What lies at a path; None where it ends early."""
    for part in path:
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _expression(expression: Data, value: str | None) -> bool:
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case other:
            raise ValueError(f"{other} is no operator of a LabelSelector")
