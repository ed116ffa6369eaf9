"""The part of a Pod that the local server understands. Everything else is refused by name rather than ignored.

Field names and meaning: Kubernetes API reference, Pod v1 core. Fields typed `Any` ask for things that a local process
has no use for (placement, privileges, image pulls); they are accepted and do nothing.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel

from fieldpipe.local.pods.refusal import Cause, bad_request, invalid

_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_STAND_INS = ("/tmp", "/var/tmp")  # noqa: S108 -- mount paths of a pod, for which its own TMPDIR stands in

_REASONS = {"missing": "FieldValueRequired", "extra_forbidden": "FieldValueNotSupported"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel)


class KeyRef(_Part):
    """One key of a Secret or a ConfigMap."""

    name: str
    key: str
    optional: bool = False


class FieldRef(_Part):
    """A field of the pod itself."""

    field_path: str
    api_version: Any = None


class ValueSource(_Part):
    """Where a variable's value comes from: exactly one of the three."""

    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None
    field_ref: FieldRef | None = None

    @model_validator(mode="after")
    def _one(self) -> "ValueSource":
        if sum(source is not None for source in (self.secret_key_ref, self.config_map_key_ref, self.field_ref)) != 1:
            raise ValueError("exactly one of secretKeyRef, configMapKeyRef, fieldRef is needed")
        return self


class Variable(_Part):
    """An environment variable: a value with `$(NAME)` references, or a source."""

    name: Annotated[str, Field(pattern=r"^[^=\x00]+$")]
    value: str | None = None
    value_from: ValueSource | None = None


class ObjectRef(_Part):
    """A whole Secret or ConfigMap."""

    name: str
    optional: bool = False


class VariablesSource(_Part):
    """All keys of a Secret or a ConfigMap as variables."""

    prefix: str = ""
    config_map_ref: ObjectRef | None = None
    secret_ref: ObjectRef | None = None


class VolumeMount(_Part):
    """Scratch at /tmp, for which the pod's own TMPDIR stands in: a process has no file system of its own.

    What is read only may be anywhere: an optional Secret, of which there are no files here.
    """

    name: str
    read_only: bool = False
    mount_path: str

    @field_validator("mount_path")
    @classmethod
    def _scratch(cls, path: str, others: ValidationInfo) -> str:
        if path.rstrip("/") not in _STAND_INS and not others.data.get("read_only"):
            raise ValueError(f"the local Pods API can only mount scratch at {' or '.join(_STAND_INS)}, not {path}")
        return path


class SecretFiles(_Part):
    """The keys of a Secret as files. Here only one that may be missing, and is."""

    secret_name: str
    optional: Literal[True]


class Volume(_Part):
    """An emptyDir, or an optional Secret."""

    name: str
    empty_dir: Mapping[str, Any] | None = None
    secret: SecretFiles | None = None

    @model_validator(mode="after")
    def _one(self) -> "Volume":
        if (self.empty_dir is None) == (self.secret is None):
            raise ValueError("exactly one of emptyDir, secret is needed")
        return self


class Container(_Part):
    """The one container of a pod. There is no image, so the command is needed."""

    name: str
    command: Annotated[list[str], Field(min_length=1)]
    args: list[str] = []
    env: list[Variable] = []
    env_from: list[VariablesSource] = []
    working_dir: str | None = None
    termination_message_policy: Literal["File", "FallbackToLogsOnError"] = "File"
    volume_mounts: list[VolumeMount] = []
    image: str = ""
    image_pull_policy: Any = None
    ports: Any = None
    resources: Any = None
    security_context: Any = None
    termination_message_path: Any = None


class PodSpec(_Part):
    """What is to run, once: a pod that ended is never started again."""

    containers: list[Container]
    restart_policy: Literal["Never"]
    active_deadline_seconds: Annotated[int, Field(gt=0)] | None = None
    termination_grace_period_seconds: Annotated[int, Field(ge=0)] = 30
    hostname: str | None = None
    volumes: list[Volume] = []
    affinity: Any = None
    automount_service_account_token: Any = None
    dns_config: Any = None
    dns_policy: Any = None
    enable_service_links: Any = None
    host_network: Any = None
    image_pull_secrets: Any = None
    node_selector: Any = None
    preemption_policy: Any = None
    priority: Any = None
    priority_class_name: Any = None
    runtime_class_name: Any = None
    scheduler_name: Any = None
    security_context: Any = None
    service_account: Any = None
    service_account_name: Any = None
    subdomain: Any = None
    tolerations: Any = None
    topology_spread_constraints: Any = None

    @field_validator("containers", mode="before")
    @classmethod
    def _single(cls, containers: Any) -> Any:
        if isinstance(containers, list) and len(containers) != 1:
            raise ValueError(
                f"the local Pods API runs exactly one container per pod, not {len(containers)} "
                "(an XCom sidecar is not possible: set do_xcom_push=False)"
            )
        return containers


class Metadata(_Part):
    """Name, labels and annotations."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: Any = None

    @model_validator(mode="after")
    def _named(self) -> "Metadata":
        name = self.name if self.name is not None else f"{self.generate_name or ''}x"
        if not (self.name or self.generate_name) or len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
            raise ValueError(f"a pod's name is a lower-case DNS subdomain of at most 253 characters, not {self.name!r}")
        return self

    @field_validator("labels")
    @classmethod
    def _checked(cls, labels: dict[str, str]) -> dict[str, str]:
        check_labels(labels)
        return labels


class Pod(_Part):
    """A Pod as it is created."""

    metadata: Metadata
    spec: PodSpec
    api_version: Literal["v1"] = "v1"
    kind: Literal["Pod"] = "Pod"
    status: Any = None


def parse_pod(body: object) -> Pod:
    """Read the body of a create request. Raises Refusal: 400 for no Pod at all, 422 naming every field to blame."""
    if not isinstance(body, dict) or body.get("kind", "Pod") != "Pod":
        raise bad_request("the body is not a Pod")
    try:
        return Pod.model_validate(_without_empty(body))
    except ValidationError as error:
        metadata = body.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        raise invalid(str(name or ""), [_cause(each) for each in error.errors()]) from None


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise ValueError when a label's key or value is not one of Kubernetes'."""
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise ValueError(f"not a label: {key!r}: {value!r} (a value has at most 63 characters of [A-Za-z0-9._-])")


def _without_empty(body: dict[str, Any]) -> dict[str, Any]:
    """Clients write unset fields as null, [], {} or false: they say nothing, so they are no reason to refuse a pod."""
    pruned = _pruned(body)
    if isinstance(metadata := pruned.get("metadata"), dict):
        pruned["metadata"] = _pruned(metadata)
    if isinstance(spec := pruned.get("spec"), dict):
        pruned["spec"] = _pruned(spec)
        if isinstance(containers := spec.get("containers"), list):
            pruned["spec"]["containers"] = [_pruned(each) if isinstance(each, dict) else each for each in containers]
    return pruned


def _pruned(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, [], {}) and value is not False}


def _cause(error: Any) -> Cause:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    if error["type"] == "extra_forbidden":
        message = "not supported by the local Pods API, which runs a pod as a plain process"
    else:
        message = error["msg"].removeprefix("Value error, ")
    return Cause(path or "metadata", message, _REASONS.get(error["type"], "FieldValueInvalid"))
