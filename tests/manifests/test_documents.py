"""What the documents tell kubectl exists in overlays/cameras, which is overlays/dev and more."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldpipe.deploy.objects import Manifests
from tests.unit.test_docs import DOCUMENTS, ROOT, columns_of_ours

KINDS = {
    "cronjob": "CronJob",
    "deployment": "Deployment",
    "ingress": "Ingress",
    "job": "Job",
    "pvc": "PersistentVolumeClaim",
    "secret": "Secret",
    "statefulset": "StatefulSet",
    "svc": "Service",
}
OBJECT = re.compile(rf"\b({'|'.join(KINDS)})[/ ]([a-z][a-z0-9-]+)")
POD = re.compile(r"\b([a-z][a-z0-9-]*)-\d+ -c ([a-z-]+)")
CONTAINER = re.compile(r"\bdeployment/([a-z0-9-]+) -c ([a-z-]+)")
NAMESPACE = re.compile(r"-n ([a-z][a-z0-9-]*)")


def commands(document: Path) -> list[str]:
    """Lines, and cells of the table of the first documents, that say `kubectl`; prod's are about Secrets to be made."""
    if document.parent.name == "prod":
        return []
    return [line for line in columns_of_ours(document) if "kubectl " in line and "kubectl create" not in line]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_what_kubectl_is_told_exists(document: Path, rendered: Callable[[str], Manifests]) -> None:
    there = rendered("cameras")
    lines = commands(document)

    objects = {(KINDS[kind], name) for line in lines for kind, name in OBJECT.findall(line)}
    containers = {("Deployment", *found) for line in lines for found in CONTAINER.findall(line)}
    containers |= {("StatefulSet", *found) for line in lines for found in POD.findall(line)}
    namespaces = {name for line in lines for name in NAMESPACE.findall(line)}

    assert sorted(found for found in objects if there.get(*found) is None) == []
    assert sorted(found for found in containers if not has_container(there, *found)) == []
    assert namespaces <= {"data-pipeline-dev"}


def test_kubectl_is_told_something() -> None:
    names = {name for document in DOCUMENTS for line in commands(document) for _, name in OBJECT.findall(line)}

    assert {"webhook-receiver", "airflow-api-server", "minio-event-setup"} <= names


def has_container(manifests: Manifests, kind: str, name: str, container: str) -> bool:
    workload = manifests.get(kind, name)
    pod = workload.spec["template"]["spec"] if workload else {"containers": []}
    return container in {each["name"] for each in pod["containers"]}
