"""The pods that the DAGs' operators build keep the rules, and everything that they name is in overlays/cameras."""

import copy
from collections.abc import Callable

import pytest

from fieldpipe.deploy import rules
from fieldpipe.deploy.fields import Data
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.rules.fault import Rule
from fieldpipe.deploy.validation import VERSIONS, complaint
from tests.manifests.conftest import OVERLAYS


@pytest.fixture
def with_task(rendered: Callable[[str], Manifests], task_pod: Data) -> Manifests:
    """overlays/cameras while a task runs."""
    return Manifests([*(each.data for each in rendered("cameras").objects), task_pod])


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_the_pod(task_pod: Data, version: str) -> None:
    assert complaint(task_pod, version) is None


def test_it_keeps_every_rule_among_the_others(with_task: Manifests) -> None:
    assert [str(fault) for fault in OVERLAYS["cameras"].faults(with_task)] == []


def test_it_is_in_the_namespace_of_the_overlay_with_its_image_and_account(
    with_task: Manifests, rendered: Callable[[str], Manifests]
) -> None:
    pod = next(each for each in with_task.workloads if each.owner.kind == "Pod")
    generator = next(each for each in rendered("cameras").workloads if each.owner.name == "generator")

    assert pod.owner.metadata["namespace"] == OVERLAYS["cameras"].namespace
    assert [each.image for each in pod.containers] == [each.image for each in generator.containers]
    assert pod.spec["serviceAccountName"] == "fieldpipe-worker"


@pytest.mark.parametrize("rule", rules.POD_RULES, ids=lambda rule: rule.__name__)
def test_the_rules_look_at_pods_too(rule: Rule, task_pod: Data) -> None:
    """A pod without anything breaks most of them; those about variables need some that are wrong."""
    bare = copy.deepcopy(dict(task_pod))
    (container,) = bare["spec"]["containers"]
    for part in ("securityContext", "resources", "envFrom"):
        del container[part]
    for part in ("securityContext", "volumes", "automountServiceAccountToken"):
        del bare["spec"][part]
    container["env"] = [{"name": "MINIO_SECRET_KEY", "value": "secret"}, {"name": "MINIO_ENDPIONT", "value": True}]

    assert list(rule(Manifests([bare]))) != []
