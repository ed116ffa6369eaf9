"""Looks at the cluster that kubectl points to, before anything is sent there: what an overlay needs and is not there.

kubectl is handed in, so that the questions can be tested without a cluster. Nothing is changed on the cluster.
"""

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fieldpipe.deploy.capacity import amount, reserved
from fieldpipe.deploy.fields import Object
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.overlay import Overlay
from fieldpipe.deploy.rules.references import needed_secrets
from fieldpipe.errors import TransientError

OLDEST = (1, 32)
MOST_IMAGES = 50  # that a node tells of


class Finding(Enum):
    """How it stands with one thing."""

    OK = "ok"
    UNKNOWN = "?"  # works without it, or it will turn out
    MISSING = "missing"


@dataclass(frozen=True)
class Line:
    """One line of the table: what was looked at, how it stands, and what to do about it."""

    what: str
    finding: Finding
    text: str


class Refused(TransientError):
    """kubectl gave no answer; the message is its own."""


Kubectl = Callable[[Sequence[str]], str]  # the arguments in, the output out; raises Refused


def kubectl(program: str) -> Kubectl:
    """The program as a function."""

    def ask(arguments: Sequence[str]) -> str:
        try:
            done = subprocess.run(
                [program, "--request-timeout=10s", *arguments], capture_output=True, text=True, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Refused(str(error)) from error
        if done.returncode and done.stdout.strip() != "no":  # as `auth can-i` answers
            raise Refused(done.stderr.strip())
        return done.stdout

    return ask


def look(overlay: Overlay, manifests: Manifests, ask: Kubectl) -> list[Line]:
    """All lines of the table; the first one alone when there is no cluster."""
    try:
        server = json.loads(ask(["version", "--output=json"]))["serverVersion"]
    except Refused as error:
        said = (str(error).splitlines() or ["no reason given"])[-1]
        return [Line("cluster", Finding.MISSING, f"kubectl reaches none, see `kubectl config get-contexts` ({said})")]
    questions = (_namespace, _permissions, _secrets, _storage, _ingress, _extensions, _images, _room)
    return [_version(server), *(line for question in questions for line in _asked(question, overlay, manifests, ask))]


def table(lines: Sequence[Line]) -> str:
    """For people."""
    width = max(len(line.what) for line in lines)
    return "\n".join(f"{line.finding.value:8} {line.what:{width}}  {line.text}" for line in lines)


Question = Callable[[Overlay, Manifests, Kubectl], Iterator[Line]]


def _asked(question: Question, overlay: Overlay, manifests: Manifests, ask: Kubectl) -> Iterator[Line]:
    try:
        yield from question(overlay, manifests, ask)
    except Refused as error:
        what = question.__name__.lstrip("_")
        yield Line(what, Finding.UNKNOWN, f"the cluster did not tell: {str(error).splitlines()[-1]}")


def _version(server: dict[str, str]) -> Line:
    version = (int(server["major"]), int(server["minor"].rstrip("+")))
    if version < OLDEST:
        return Line("cluster", Finding.MISSING, f"is {server['gitVersion']}: Kubernetes 1.32 or newer is needed")
    return Line("cluster", Finding.OK, f"Kubernetes {version[0]}.{version[1]}")


def _namespace(overlay: Overlay, _: Manifests, ask: Kubectl) -> Iterator[Line]:
    what = f"namespace {overlay.namespace}"
    found = _get(ask, "namespace", overlay.namespace)
    if found is None:
        yield Line(what, Finding.OK, "will be made")
    elif found.at("status", "phase") != "Active":
        yield Line(what, Finding.MISSING, "is being deleted: wait until it is gone")
    else:
        yield Line(what, Finding.OK, "is there")


def _permissions(overlay: Overlay, manifests: Manifests, ask: Kubectl) -> Iterator[Line]:
    """The account may create what the overlay has."""
    kinds = _kinds(manifests)
    refused = [
        kind
        for kind, group in kinds
        if ask(["auth", "can-i", "create", _resource(kind, group), f"--namespace={overlay.namespace}"]).strip() != "yes"
    ]
    if refused:
        yield Line(
            "permissions", Finding.MISSING, f"you may not create: {', '.join(refused)}; ask who runs the cluster"
        )
    else:
        yield Line("permissions", Finding.OK, f"all {len(kinds)} kinds of objects may be created")


def _secrets(overlay: Overlay, manifests: Manifests, ask: Kubectl) -> Iterator[Line]:
    for name, keys in sorted(needed_secrets(manifests).items()):
        found = _get(ask, "secret", name, f"--namespace={overlay.namespace}")
        lacking = sorted(keys - set((found.data.get("data") or {}) if found else {}))
        if lacking:
            where = "components" if name in overlay.optional else f"overlays/{overlay.name}"
            text = f"create it with the key {', '.join(lacking)}: {where}/README.md says how"
            yield Line(f"Secret {name}", Finding.MISSING, text)
        else:
            yield Line(f"Secret {name}", Finding.OK, "is there with its keys")


def _storage(_: Overlay, manifests: Manifests, ask: Kubectl) -> Iterator[Line]:
    claims = [each.spec for each in manifests.of("PersistentVolumeClaim")]
    sets = manifests.of("StatefulSet")
    claims += [claim["spec"] for each in sets for claim in each.spec.get("volumeClaimTemplates") or ()]
    classes = _list(ask, "storageclass")
    for wanted in sorted({claim.get("storageClassName") or "" for claim in claims}):
        yield _class("storage class", wanted, classes, "storageclass.kubernetes.io/is-default-class")


def _ingress(_: Overlay, manifests: Manifests, ask: Kubectl) -> Iterator[Line]:
    classes = _list(ask, "ingressclass")
    for wanted in sorted({each.spec.get("ingressClassName") or "" for each in manifests.of("Ingress")}):
        line = _class("ingress class", wanted, classes, "ingressclass.kubernetes.io/is-default-class")
        if line.finding is Finding.MISSING:  # everything works, but for the two addresses
            line = Line(line.what, Finding.UNKNOWN, f"{line.text}; until then: kubectl port-forward")
        yield line


def _class(what: str, wanted: str, classes: Sequence[Object], default: str) -> Line:
    names = [each.name for each in classes]
    if wanted:
        if wanted in names:
            return Line(f"{what} {wanted}", Finding.OK, "is there")
        return Line(f"{what} {wanted}", Finding.MISSING, f"install it, or name one of: {', '.join(names) or 'none'}")
    for each in classes:
        if (each.metadata.get("annotations") or {}).get(default) == "true":
            return Line(what, Finding.OK, f"{each.name} is the default")
    there = f"make one of {', '.join(names)} the default" if names else "install one"
    return Line(what, Finding.MISSING, f'there is no default: {there} (annotation {default}: "true")')


def _extensions(_: Overlay, manifests: Manifests, ask: Kubectl) -> Iterator[Line]:
    """Kinds that Kubernetes does not come with."""
    for kind, group in _kinds(manifests):
        if "." in group and not group.endswith(".k8s.io"):
            name = _resource(kind, group)
            if _get(ask, "customresourcedefinition", name) is None:
                text = f"{name} is unknown here: install what brings it, or take the component out of the overlay"
                yield Line(kind, Finding.MISSING, text)
            else:
                yield Line(kind, Finding.OK, f"{name} is known")


def _images(_: Overlay, manifests: Manifests, ask: Kubectl) -> Iterator[Line]:
    """Nodes tell which images they hold. What comes from a registry turns out when a pod starts."""
    nodes = _list(ask, "nodes")
    images = [node.at("status", "images") or () for node in nodes]
    held = [{_full(name) for image in each for name in image.get("names") or ()} for each in images]
    tells_all = all(len(each) < MOST_IMAGES for each in images)
    for image in sorted({c.image for workload in manifests.workloads for c in workload.containers}):
        what = f"image {image.partition('@')[0]}"
        if held and all(_full(image) in each for each in held):
            yield Line(what, Finding.OK, "is on every node")
        elif image.endswith("0" * 64):
            yield Line(what, Finding.MISSING, "is a place for yours: kustomize edit set image (README.md)")
        elif "/" in image:
            yield Line(what, Finding.UNKNOWN, "will be pulled from its registry, if the nodes can reach it")
        elif tells_all:
            text = "is not on every node: make images-kind, or make images REGISTRY=... and name it in the overlay"
            yield Line(what, Finding.MISSING, text)
        else:
            yield Line(what, Finding.UNKNOWN, "the nodes hold too many images to tell of all")


def _room(_: Overlay, manifests: Manifests, ask: Kubectl) -> Iterator[Line]:
    """What pods reserve has to find room on the nodes: those that serve, and the Jobs that they wait for."""
    nodes = [node.at("status", "allocatable") for node in _list(ask, "nodes")]
    for kind, unit in (("cpu", ""), ("memory", " GiB")):
        scale = 2**30 if unit else 1
        there = sum(amount(node.get(kind)) for node in nodes) / scale
        needed = reserved(manifests, kind) / scale
        text = f"the pods reserve {needed:.1f}{unit}, the nodes have {there:.1f}{unit}"
        if needed > there:
            yield Line(kind, Finding.MISSING, f"{text}: more or larger nodes, or overlays/kind to try it")
        else:
            yield Line(kind, Finding.OK, f"{text}; pods of tasks come on top")


def _kinds(manifests: Manifests) -> list[tuple[str, str]]:
    """Kinds of objects with the groups of their APIs."""
    return sorted({(each.kind, each.data["apiVersion"].rpartition("/")[0]) for each in manifests.objects})


def _get(ask: Kubectl, *words: str) -> Object | None:
    answer = ask(["get", *words, "--ignore-not-found", "--output=json"]).strip()
    return Object(json.loads(answer)) if answer else None


def _list(ask: Kubectl, kind: str) -> list[Object]:
    answer: dict[str, Any] = json.loads(ask(["get", kind, "--output=json"]))
    return [Object(each) for each in answer["items"]]


def _resource(kind: str, group: str) -> str:
    lower = kind.lower()
    plural = lower[:-1] + "ies" if lower.endswith("cy") else lower + ("es" if lower.endswith("ss") else "s")
    return f"{plural}.{group}" if group else plural


def _full(image: str) -> str:
    """As nodes name it: docker.io/library/ is left out by people."""
    first, slash, _ = image.partition("/")
    if not slash:
        return f"docker.io/library/{image}"
    return image if "." in first or ":" in first or first == "localhost" else f"docker.io/{image}"
