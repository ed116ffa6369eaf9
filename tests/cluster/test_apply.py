"""The rendered overlays against a real API server: accepted, acted on, and accepted again after a change."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.manifests import Manifests
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]  # the first run builds Kubernetes

NAMESPACE = "data-pipeline-dev"
AIRFLOW = f"system:serviceaccount:{NAMESPACE}:airflow"
TASK_PODS = f"system:serviceaccount:{NAMESPACE}:fieldpipe-worker"
OURS = f"system:serviceaccount:{NAMESPACE}:fieldpipe"


ALWAYS_RUNNING = {  # what reads the settings all the time
    "Deployment/airflow-api-server",
    "Deployment/airflow-dag-processor",
    "Deployment/airflow-scheduler",
    "Deployment/airflow-triggerer",
    "Deployment/dispatcher",
    "Deployment/sentinel",
    "Deployment/webhook-receiver",
    "StatefulSet/airflow-worker",
    "StatefulSet/broker",
}


@pytest.fixture(scope="module")
def applied(plane: ControlPlane, manifests: Callable[[str], Manifests]) -> Manifests:
    """The dev overlay, applied once."""
    dev = manifests("dev")
    assert set(dev.apply(plane).values()) == {"created"}
    return dev


def listed(plane: ControlPlane, kinds: str) -> list[dict[str, Any]]:
    """Objects of the namespace."""
    items: list[dict[str, Any]] = json.loads(plane.kubectl("-n", NAMESPACE, "get", kinds, "-o", "json"))["items"]
    return items


def test_every_pod_is_admitted_under_the_restricted_standard(plane: ControlPlane, applied: Manifests) -> None:
    (namespace,) = (json.loads(plane.kubectl("get", "namespace", NAMESPACE, "-o", "json")),)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"

    workloads = listed(plane, "deployments,statefulsets,jobs")

    def without_pods() -> list[str]:
        pods = [pod["metadata"]["name"] for pod in listed(plane, "pods")]
        names = [workload["metadata"]["name"] for workload in workloads]
        return [name for name in names if not any(pod.startswith(f"{name}-") for pod in pods)]

    eventually(lambda: not without_pods(), 60, lambda: (without_pods(), refusals(plane)))
    assert refusals(plane) == []


def refusals(plane: ControlPlane) -> list[str]:
    """Why pods could not be made."""
    return [event["message"] for event in listed(plane, "events") if event["reason"] == "FailedCreate"]


def test_applied_again_unchanged_nothing_changes(plane: ControlPlane, applied: Manifests) -> None:
    before = applied.versions(plane)
    answers = applied.apply(plane)

    assert set(answers.values()) == {"unchanged", "configured"}
    assert applied.versions(plane) == before


def test_a_changed_setting_rolls_what_reads_it_all_the_time_and_nothing_else(
    plane: ControlPlane, applied: Manifests
) -> None:
    before = applied.versions(plane)
    applied.set("MINIO_REGION", "eu-central-1")
    applied.apply(plane)
    after = applied.versions(plane)

    changed = {name for name, version in after.items() if before.get(name, version) != version}
    assert changed == ALWAYS_RUNNING | {"ConfigMap/pipeline-config"}
    (settings,) = after.keys() - before.keys()
    assert settings.startswith("ConfigMap/pipeline-settings-")


@pytest.mark.parametrize(
    ("who", "verb", "what", "may"),
    [
        (AIRFLOW, "create", "pods", True),
        (AIRFLOW, "delete", "pods", True),
        (AIRFLOW, "watch", "pods", True),
        (AIRFLOW, "patch", "pods", True),
        (AIRFLOW, "get", "pods/log", True),
        (AIRFLOW, "list", "events", True),
        (AIRFLOW, "create", "pods/exec", False),
        (AIRFLOW, "get", "secrets", False),
        (AIRFLOW, "create", "deployments", False),
        (TASK_PODS, "get", "pods", False),
        (OURS, "get", "pods", False),
    ],
)
def test_an_account_may_do_what_it_needs_and_no_more(
    plane: ControlPlane, applied: Manifests, who: str, verb: str, what: str, may: bool
) -> None:
    resource, _, sub = what.partition("/")
    subresource = [f"--subresource={sub}"] if sub else []
    question = ["auth", "can-i", verb, resource, *subresource, f"--as={who}"]

    assert plane.kubectl("-n", NAMESPACE, *question, check=False).split()[0] == ("yes" if may else "no")
    assert plane.kubectl("-n", "default", *question, check=False).split()[0] == "no"


def test_cameras_go_over_what_is_there(
    plane: ControlPlane, applied: Manifests, manifests: Callable[[str], Manifests]
) -> None:
    plane.kubectl("-n", NAMESPACE, "delete", "jobs", "--all")  # as the overlay's README says: they cannot be changed
    answers = manifests("cameras").apply(plane)

    created = {name for name, answer in answers.items() if answer == "created"}
    assert created >= {"statefulset.apps/kafka", "service/kafka", "networkpolicy.networking.k8s.io/to-kafka"}
    eventually(lambda: "kafka-0" in [pod["metadata"]["name"] for pod in listed(plane, "pods")], 60)
    assert refusals(plane) == []


def test_the_production_overlay_is_taken(plane: ControlPlane, manifests: Callable[[str], Manifests]) -> None:
    assert set(manifests("prod").apply(plane).values()) == {"created"}


def test_a_deleted_namespace_is_gone_and_the_overlay_for_kind_is_taken(
    plane: ControlPlane, applied: Manifests, manifests: Callable[[str], Manifests]
) -> None:
    plane.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")
    assert set(manifests("kind").apply(plane).values()) == {"created"}
