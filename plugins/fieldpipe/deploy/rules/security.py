"""What pods may do: the Pod Security standard "restricted" and what we ask for beyond it."""

import re
from collections.abc import Collection, Iterator

from fieldpipe.deploy.fields import at
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.pods import Workload
from fieldpipe.deploy.rules.fault import Fault, Rule, fault

_VOLUMES = {
    "name",
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|PRIVATE|ACCESS_KEY|FERNET|CREDENTIAL", re.IGNORECASE)
_NO_SECRET = re.compile(r"_(FILE|PATH|NAME|URL|SECONDS|EXPIRATION)\w*$|^$", re.IGNORECASE)
_CREDENTIALS = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def pods_are_restricted(manifests: Manifests) -> Iterator[Fault]:
    """Pod Security "restricted", with a read-only root filesystem, in every container of every pod."""
    for workload in manifests.workloads:
        spec, pod = workload.spec, workload.spec.get("securityContext") or {}
        for shared in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(shared):
                yield fault(workload, f"has {shared}")
        for volume in spec.get("volumes") or ():
            if strange := set(volume) - _VOLUMES:
                yield fault(workload, f"volume {volume['name']} is a {', '.join(strange)}")
        for container in workload.containers:
            own = container.data.get("securityContext") or {}
            wanted = {
                "runAsNonRoot: true": {**pod, **own}.get("runAsNonRoot") is True,
                "runAsUser, not 0": {**pod, **own}.get("runAsUser") not in (None, 0),
                "seccompProfile RuntimeDefault": at({**pod, **own}, "seccompProfile", "type") == "RuntimeDefault",
                "allowPrivilegeEscalation: false": own.get("allowPrivilegeEscalation") is False,
                "capabilities: drop [ALL]": own.get("capabilities") == {"drop": ["ALL"]},
                "no privileges": not own.get("privileged"),
                "readOnlyRootFilesystem: true": own.get("readOnlyRootFilesystem") is True,
                "no hostPort": not any("hostPort" in port for port in container.data.get("ports") or ()),
            }
            for text, kept in wanted.items():
                if not kept:
                    yield fault(workload, f"needs {text}", container)


def resources_are_bounded(manifests: Manifests) -> Iterator[Fault]:
    """Every container reserves CPU and memory and has a limit of memory."""
    for workload in manifests.workloads:
        for container in workload.containers:
            resources = container.data.get("resources") or {}
            for kind, amount in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
                if not at(resources, kind, amount):
                    yield fault(workload, f"has no {kind}.{amount}", container)


def health_is_asked(manifests: Manifests) -> Iterator[Fault]:
    """What serves for ever has a liveness probe, and a readiness probe when a Service leads to it."""
    for workload in manifests.workloads:
        led_to = any(
            service.spec.get("clusterIP") != "None" and workload in manifests.selected({"matchLabels": selector})
            for service in manifests.of("Service")
            if (selector := service.spec.get("selector"))
        )
        for container in workload.containers:
            asked = {name for name in ("livenessProbe", "readinessProbe") if container.data.get(name)}
            if not workload.serving or container.first or _is_helper(workload, container.name):
                continue
            if "livenessProbe" not in asked:
                yield fault(workload, "has no livenessProbe", container)
            if led_to and container.ports and "readinessProbe" not in asked:
                yield fault(workload, "has no readinessProbe, and a Service leads to it", container)


def images_are_known(known: Collection[str]) -> Rule:
    """The rule about images, that of tasks too: `name:tag`, a registry before it and a digest behind it allowed."""

    def rule(manifests: Manifests) -> Iterator[Fault]:
        for workload in manifests.workloads:
            for container in workload.containers:
                yield from (fault(workload, text, container) for text in _against(container.image, known))
        for config in manifests.of("ConfigMap"):
            if config.name.startswith("pipeline-"):
                image = str((config.data.get("data") or {}).get("FIELDPIPE_POD_IMAGE", ""))
                yield from (fault(config, f"FIELDPIPE_POD_IMAGE: {text}") for text in _against(image, known))

    return rule


def _against(image: str, known: Collection[str]) -> Iterator[str]:
    name, _, digest = image.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    if not any(f"{folder}{slash}{last}" == each or f"{folder}{slash}{last}".endswith(f"/{each}") for each in known):
        yield f"image {image!r} is none of {', '.join(known)}"
    if tag in ("", "latest") and not digest:
        yield f"image {image!r} needs a tag of a version, or a digest"


def tokens_are_for_airflow_only(manifests: Manifests) -> Iterator[Fault]:
    """Only pods that start pods get a token of the Kubernetes API; nobody runs as the account `default`."""
    for workload in manifests.workloads:
        account = workload.spec.get("serviceAccountName", "default")
        token = workload.spec.get("automountServiceAccountToken")
        if account == "default":
            yield fault(workload, "names no serviceAccountName")
        if token is not False and account != "airflow":
            yield fault(workload, f"needs automountServiceAccountToken: false (account {account})")


def secrets_are_in_secrets(manifests: Manifests) -> Iterator[Fault]:
    """No password in a ConfigMap, in a variable's plain value or on a command line."""
    for config in manifests.of("ConfigMap"):
        for key, value in (config.data.get("data") or {}).items():
            if _is_secret(key, value):
                yield fault(config, f"{key} looks like a secret: move it into a Secret")
    for workload in manifests.workloads:
        for container in workload.containers:
            for variable in container.variables:
                if _is_secret(variable.name, variable.value):
                    yield fault(workload, f"{variable.name} is a plain value: take it from a Secret", container)
            if any(_CREDENTIALS.search(str(word)) for word in container.words):
                yield fault(workload, "has a password on its command line", container)


def _is_secret(name: str, value: object) -> bool:
    text = str(value or "")
    named = _SECRET_NAME.search(name) and not _NO_SECRET.search(name) and text.strip()
    return bool(named or _CREDENTIALS.search(text))


def _is_helper(workload: Workload, container: str) -> bool:
    """A helper beside the one that serves: its end restarts it alone, and nobody waits for it."""
    return container in {"log-groomer"} and len(workload.containers) > 1
