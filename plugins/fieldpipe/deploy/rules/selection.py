"""Selectors find the pods they are written for, and budgets let them go."""

from collections.abc import Iterator

from fieldpipe.deploy.fields import matches
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.pods import Workload
from fieldpipe.deploy.rules.fault import Fault, fault


def workloads_select_their_own_pods(manifests: Manifests) -> Iterator[Fault]:
    """A workload's selector matches the labels of its template, and of nobody else's."""
    for workload in manifests.workloads:
        selector = workload.owner.spec.get("selector")
        if not workload.serving:
            continue
        if not selector or not matches(selector, workload.labels):
            yield fault(workload, f"its selector {selector} does not match its pods' labels {dict(workload.labels)}")
        for other in manifests.selected(selector):
            if other is not workload:
                yield fault(workload, f"its selector also matches the pods of {other}")


def budgets_can_be_kept(manifests: Manifests) -> Iterator[Fault]:
    """A PodDisruptionBudget selects pods and lets at least one of them go: else no node can ever be drained."""
    for budget in manifests.of("PodDisruptionBudget"):
        pods = [each for each in manifests.selected(budget.spec.get("selector")) if each.serving]
        if not pods:
            yield fault(budget, "selects no pods")
        for workload in pods:
            replicas = least_replicas(manifests, workload)
            allowed = _allowed(budget.spec.get("minAvailable"), budget.spec.get("maxUnavailable"), replicas)
            if allowed < 1:
                yield fault(budget, f"lets none of the {replicas} pods of {workload} go: a node could not be drained")


def stateful_sets_have_their_service(manifests: Manifests) -> Iterator[Fault]:
    """The Service that a StatefulSet's pods get their names by exists."""
    for owner in manifests.of("StatefulSet"):
        if not manifests.get("Service", owner.spec.get("serviceName", "")):
            yield fault(owner, f"its serviceName {owner.spec.get('serviceName')} is not there")


def least_replicas(manifests: Manifests, workload: Workload) -> int:
    """How many pods there are at least, autoscalers considered."""
    for scaler in manifests.of("HorizontalPodAutoscaler", "ScaledObject"):
        if scaler.at("spec", "scaleTargetRef", "name") == workload.owner.name:
            return int(scaler.spec.get("minReplicas", scaler.spec.get("minReplicaCount", 0)))
    return int(workload.owner.spec.get("replicas", 1))


def _allowed(least: str | int | None, most: str | int | None, replicas: int) -> int:
    if most is not None:
        return _count(most, replicas)
    return replicas - _count(least if least is not None else 1, replicas)


def _count(amount: str | int, replicas: int) -> int:
    """Kubernetes rounds percentages up, for both."""
    return -(-int(amount.rstrip("%")) * replicas // 100) if isinstance(amount, str) else amount
