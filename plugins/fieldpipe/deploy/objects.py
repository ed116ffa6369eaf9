"""Kubernetes objects as the rules read them: by kind and name, with the pods that workloads make.

What a rule asks often has a name here; the rest of an object stays what it is, nested mappings and lists.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

Data = Mapping[str, Any]

_POD_PATHS = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
SERVING = ("Deployment", "StatefulSet", "DaemonSet")  # their pods are meant to run for ever


class _Loader(yaml.CSafeLoader):
    """Reads `y` and `n` as booleans too, as the YAML library of kubectl does and PyYAML does not."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
_Loader.bool_values = yaml.CSafeLoader.bool_values | {"y": True, "n": False}


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


@dataclass(frozen=True)
class Reference:
    """Something in a pod that names another object. `key`: one key of it; `optional`: the pod starts without."""

    kind: str
    name: str
    key: str | None = None
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f", key {self.key}" if self.key else "")


@dataclass(frozen=True)
class Variable:
    """One variable of a container: a text, or where it comes from."""

    name: str
    value: Any = None
    source: Reference | None = None
    field: str | None = None  # of the pod itself


@dataclass(frozen=True)
class Container:
    """A container of a pod. `first`: an initContainer that ends before the others start."""

    data: Data
    first: bool

    @property
    def name(self) -> str:
        return str(self.data.get("name"))

    @property
    def image(self) -> str:
        return str(self.data.get("image", ""))

    @property
    def words(self) -> list[str]:
        """What is executed: command and arguments."""
        return [*(self.data.get("command") or ()), *(self.data.get("args") or ())]

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Those that are listed one by one."""
        return tuple(_variable(entry) for entry in self.data.get("env") or ())

    @cached_property
    def whole(self) -> tuple[Reference, ...]:
        """ConfigMaps and Secrets all of whose keys become variables."""
        return tuple(
            Reference(kind, ref["name"], optional=bool(ref.get("optional")))
            for entry in self.data.get("envFrom") or ()
            for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef"))
            if (ref := entry.get(field))
        )

    @property
    def ports(self) -> set[str | int]:
        """Numbers and names of the ports it listens on."""
        found = self.data.get("ports") or ()
        return {port["containerPort"] for port in found} | {port["name"] for port in found if "name" in port}


@dataclass(frozen=True)
class Workload:
    """An object that makes pods, and the pods' template."""

    owner: Object
    template: Object

    @property
    def spec(self) -> Data:
        return self.template.spec

    @property
    def labels(self) -> Mapping[str, str]:
        return self.template.labels

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        sidecars = [c for c in self.spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
        first = [c for c in self.spec.get("initContainers") or () if c not in sidecars]
        later = [*sidecars, *(self.spec.get("containers") or ())]
        return (*(Container(c, first=True) for c in first), *(Container(c, first=False) for c in later))

    @property
    def serving(self) -> bool:
        return self.owner.kind in SERVING

    @property
    def ports(self) -> set[str | int]:
        return {port for container in self.containers if not container.first for port in container.ports}

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """Everything that the pods need by name."""
        return tuple(_references(self))

    def __str__(self) -> str:
        return str(self.owner)


class Manifests:
    """All objects of an overlay."""

    def __init__(self, objects: Sequence[Data]) -> None:
        self.objects = [Object(each) for each in objects]
        self.workloads = [Workload(o, Object(o.at(*_POD_PATHS[o.kind]))) for o in self.objects if o.kind in _POD_PATHS]

    def of(self, *kinds: str) -> list[Object]:
        """All objects of these kinds."""
        return [each for each in self.objects if each.kind in kinds]

    def get(self, kind: str, name: str) -> Object | None:
        """The object of this kind and name."""
        return next((each for each in self.objects if each.kind == kind and each.name == name), None)

    def selected(self, selector: Data | None) -> list[Workload]:
        """The workloads whose pods a LabelSelector matches."""
        return [each for each in self.workloads if matches(selector or {}, each.labels)]

    def environment(self, container: Container) -> dict[str, Variable]:
        """All variables of a container by name, those of whole ConfigMaps and Secrets included."""
        whole = {
            key: Variable(key, None if source.kind == "Secret" else value, source if source.kind == "Secret" else None)
            for source in container.whole
            if (found := self.get(source.kind, source.name))
            for key, value in contents(found).items()
        }
        return whole | {variable.name: variable for variable in container.variables}


def parse(text: str) -> Manifests:
    """Read what kustomize printed."""
    return Manifests([each for each in yaml.load_all(text, Loader=_Loader) if each])


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
        case _:
            return value is None


def _variable(entry: Data) -> Variable:
    name, source = str(entry["name"]), entry.get("valueFrom") or {}
    for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        if ref := source.get(field):
            return Variable(name, source=Reference(kind, ref["name"], ref["key"], bool(ref.get("optional"))))
    return Variable(name, entry.get("value"), field=at(source, "fieldRef", "fieldPath"))


def _references(workload: Workload) -> Iterator[Reference]:
    spec = workload.spec
    yield Reference("ServiceAccount", spec.get("serviceAccountName") or "default")
    yield from (Reference("Secret", each["name"]) for each in spec.get("imagePullSecrets") or ())
    for container in workload.containers:
        yield from container.whole
        yield from (variable.source for variable in container.variables if variable.source)
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume)


def _of_volume(volume: Data) -> Iterator[Reference]:
    if claim := volume.get("persistentVolumeClaim"):
        yield Reference("PersistentVolumeClaim", claim["claimName"])
    for source in (volume, *(at(volume, "projected", "sources") or ())):
        for kind, field, name in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
            if found := source.get(field):
                whole = Reference(kind, found.get(name) or found["name"], optional=bool(found.get("optional")))
                yield whole
                yield from (Reference(kind, whole.name, item["key"]) for item in found.get("items") or ())
