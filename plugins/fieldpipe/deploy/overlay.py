"""One environment: the folder under overlays/, its namespace, and the Secrets that its cluster has to hold."""

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from fieldpipe.deploy import rules
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.rules.fault import Fault
from fieldpipe.deploy.rules.references import needed_secrets
from fieldpipe.errors import PermanentError

FOLDER = "overlays"
# May hold Secrets that everybody knows; every other one is taken for production.
FOR_DEVELOPMENT = ("dev", "cameras", "kind")
_GENERIC = re.compile(r"kubectl create secret generic (\S+)([^\n]*)")
_TYPED = re.compile(r"kubectl create secret (tls|docker-registry) (\S+)")
_KEYS = {"tls": {"tls.crt", "tls.key"}, "docker-registry": {".dockerconfigjson"}}
_KEY = re.compile(r"--from-(?:literal|file)=([a-zA-Z0-9._-]+)=")


@dataclass(frozen=True)
class Overlay:
    """`asked`: the Secrets, with their keys, that its README tells people to make; `optional`: those of components."""

    name: str
    folder: Path
    namespace: str
    asked: Mapping[str, Set[str]]
    optional: Mapping[str, Set[str]] = field(default_factory=dict)

    @property
    def for_development(self) -> bool:
        return self.name in FOR_DEVELOPMENT

    def faults(self, manifests: Manifests) -> list[Fault]:
        """What the rules find in its manifests."""
        existing = {**self.optional, **self.asked}
        every = rules.rules(self.namespace, existing=existing, for_development=self.for_development)
        return [*rules.broken(every, manifests), *self._superfluous(manifests)]

    def _superfluous(self, manifests: Manifests) -> Iterator[Fault]:
        needed = needed_secrets(manifests)
        for name, keys in self.asked.items():
            for key in sorted(keys - needed.get(name, set())):
                yield Fault(f"{FOLDER}/{self.name}/README.md", f"asks for Secret {name}, key {key}: nobody needs it")


def load(project: Path, wanted: str | None = None) -> list[Overlay]:
    """All overlays, or the one that is wanted. Raises PermanentError when there is none of that name."""
    folders = sorted(file.parent for file in (project / FOLDER).glob("*/kustomization.yaml"))
    found = [folder for folder in folders if wanted in (None, folder.name)]
    if not found:
        raise PermanentError(f"there is no overlay {wanted}; there are: {', '.join(f.name for f in folders)}")
    return [_read(folder) for folder in found]


def documented_secrets(text: str) -> dict[str, set[str]]:
    """The Secrets, with their keys, that a document's commands make."""
    text = text.replace("\\\n", " ")
    made = {found.group(1): set(_KEY.findall(found.group(2))) for found in _GENERIC.finditer(text)}
    return made | {found.group(2): _KEYS[found.group(1)] for found in _TYPED.finditer(text)}


def _read(folder: Path) -> Overlay:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if not (namespace := kustomization.get("namespace")):
        raise PermanentError(f"{folder}/kustomization.yaml sets no namespace")
    own, components = folder / "README.md", folder.parents[1] / "components/README.md"
    return Overlay(
        folder.name,
        folder,
        namespace,
        documented_secrets(own.read_text()) if own.exists() else {},
        documented_secrets(components.read_text()) if kustomization.get("components") else {},
    )
