"""What workloads make pods of: containers, their variables, and all that they need by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fieldpipe.deploy.fields import Data, Object, at

_POD_PATHS = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
SERVING = ("Deployment", "StatefulSet", "DaemonSet")  # their pods are meant to run for ever


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
class Variable:
    """One variable of a container: a text, or where it comes from."""

    name: str
    value: Any = None
    source: Reference | None = None
    field: str | None = None  # of the pod itself


@dataclass(frozen=True)
class Reference:
    """Something in a pod that names another object. `key`: one key of it; `optional`: the pod starts without."""

    kind: str
    name: str
    key: str | None = None
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f", key {self.key}" if self.key else "")


def workload(owner: Object) -> Workload | None:
    """The pods that an object makes, if it is of a kind that makes some."""
    path = _POD_PATHS.get(owner.kind)
    return None if path is None else Workload(owner, Object(owner.at(*path)))


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
