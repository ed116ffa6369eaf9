"""From a pod's spec to what is started: its arguments, its whole environment, its folder.

Variables follow the kubelet (kubernetes/pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables): envFrom first, then env
in order, later ones win; `$(NAME)` sees what was defined before it; arguments see everything the spec defines, but not
what the image brings (PATH, HOME ...).
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldpipe.errors import ConfigurationError, PermanentError
from fieldpipe.local.pods.spec import Container, KeyRef, ObjectRef, Variable, VariablesSource, Volume

_REFERENCE = re.compile(r"\$(?:(\$)|\(([^)]*)\))")
_LABEL_OR_ANNOTATION = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")
_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.podIP",
)
_INTERPRETERS = ("python", "python3")

Values = Mapping[str, Mapping[str, str]]


class UnresolvedReference(PermanentError):
    """A Secret, ConfigMap, key or field that a variable refers to does not exist. The message names it, no value."""


@dataclass(frozen=True)
class Sources:
    """The Secrets and ConfigMaps that pods may refer to: name -> key -> value."""

    secrets: Values
    configmaps: Values


@dataclass(frozen=True)
class Command:
    """What to start. `environment` is all that the process gets."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str


def read_sources(file: Path) -> Sources:
    """Read {"secrets": {name: {key: value}}, "configmaps": {...}}. Raises ConfigurationError naming the file."""
    try:
        content = json.loads(file.read_text())
        values = {part: _checked(content.get(part, {})) for part in ("secrets", "configmaps")}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        wanted = '{"secrets": {name: {key: value}}, "configmaps": {...}}'
        raise ConfigurationError(f"cannot read {file} as {wanted}: {error}") from error
    return Sources(**values)


def build_command(document: Mapping[str, Any], container: Container, sources: Sources, workdir: Path) -> Command:
    """What to start for a pod (`document`: the Pod object, for fieldRef), without the image's own variables.

    Raises UnresolvedReference.
    """
    environment = build_environment(document, container, sources)
    first, *rest = [expand(part, environment) for part in [*container.command, *container.args]]
    program = sys.executable if first in _INTERPRETERS else first
    return Command((program, *rest), environment, container.working_dir or str(workdir))


def refuse_files(volumes: Sequence[Volume], sources: Sources) -> None:
    """Raise UnresolvedReference when a Secret that is there would have to be files."""
    for volume in volumes:
        if volume.secret is not None and volume.secret.secret_name in sources.secrets:
            raise UnresolvedReference(
                f'volume {volume.name}: the local Pods API cannot mount secret "{volume.secret.secret_name}"'
            )


def build_environment(document: Mapping[str, Any], container: Container, sources: Sources) -> dict[str, str]:
    """The variables that the spec gives, in the kubelet's order. Raises UnresolvedReference."""
    environment: dict[str, str] = {}
    for source in container.env_from:
        environment |= _all_keys(source, sources)
    for variable in container.env:
        value = _value(document, variable, sources, environment)
        if value is not None:
            environment[variable.name] = value
    return environment


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; an unknown one stays as it is, and `$$` is one `$` that starts nothing."""

    def replaced(reference: re.Match[str]) -> str:
        escaped, name = reference.groups()
        return "$" if escaped else values.get(name, reference[0])

    return _REFERENCE.sub(replaced, text)


def _all_keys(source: VariablesSource, sources: Sources) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, ref, values in (
        ("configmap", source.config_map_ref, sources.configmaps),
        ("secret", source.secret_ref, sources.secrets),
    ):
        if ref is not None:
            keys = _object(kind, ref, values)
            found |= {source.prefix + key: value for key, value in keys.items() if "=" not in key}
    return found


def _value(
    document: Mapping[str, Any], variable: Variable, sources: Sources, environment: Mapping[str, str]
) -> str | None:
    """A variable's value; None when it refers to something optional that is missing (it is not set then)."""
    source = variable.value_from
    if source is None:
        return expand(variable.value or "", environment)
    if source.field_ref is not None:
        return _field(document, source.field_ref.field_path)
    if source.secret_key_ref is not None:
        return _key("secret", source.secret_key_ref, sources.secrets)
    assert source.config_map_key_ref is not None
    return _key("configmap", source.config_map_key_ref, sources.configmaps)


def _key(kind: str, ref: KeyRef, values: Values) -> str | None:
    keys = _object(kind, ObjectRef(name=ref.name, optional=ref.optional), values)
    if ref.key not in keys and not ref.optional:
        raise UnresolvedReference(f"couldn't find key {ref.key} in {kind} {ref.name}")
    return keys.get(ref.key)


def _object(kind: str, ref: ObjectRef, values: Values) -> Mapping[str, str]:
    if ref.name not in values and not ref.optional:
        raise UnresolvedReference(f'{kind} "{ref.name}" not found')
    return values.get(ref.name, {})


def _field(document: Mapping[str, Any], path: str) -> str:
    if of_map := _LABEL_OR_ANNOTATION.fullmatch(path):
        group, key = of_map.groups()
        return str((document["metadata"].get(group) or {}).get(key, ""))
    if path not in _FIELDS:
        raise UnresolvedReference(f"fieldRef {path} is none that the local Pods API knows: {', '.join(_FIELDS)}")
    part, name = path.split(".")
    return str(document[part].get(name, ""))


def _checked(values: Any) -> dict[str, dict[str, str]]:
    for name, keys in values.items():
        for key, value in keys.items():
            if not isinstance(value, str):
                raise TypeError(f"{name}.{key} is not a text")
    return dict(values)
