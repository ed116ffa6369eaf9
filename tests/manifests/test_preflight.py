"""A cluster is asked for what an overlay needs. kubectl is a function here: it answers what a cluster would."""

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.preflight import Finding, Line, Refused, kubectl, look, table
from tests.manifests.conftest import OVERLAYS

IMAGES = ["docker.io/library/fieldpipe-airflow:0.1.0", "docker.io/library/fieldpipe-webhook:0.1.0"]
DEFAULT_STORAGE = {"storageclass.kubernetes.io/is-default-class": "true"}
NODE = {
    "status": {"images": [{"names": [name]} for name in IMAGES], "allocatable": {"memory": "16000000Ki", "cpu": "4"}}
}
CLUSTER: dict[str, Any] = {
    "version": {"serverVersion": {"major": "1", "minor": "34", "gitVersion": "v1.34.4"}},
    "get storageclass": {"items": [{"metadata": {"name": "standard", "annotations": DEFAULT_STORAGE}}]},
    "get ingressclass": {"items": [{"metadata": {"name": "nginx"}}]},
    "get nodes": {"items": [NODE]},
    "auth can-i": "yes\n",
}


class Cluster:
    """Answers by the first two words of a question; the rest is not there."""

    def __init__(self) -> None:
        self.answers = copy.deepcopy(CLUSTER)

    def __call__(self, arguments: Sequence[str]) -> str:
        specific, general = " ".join(arguments[:3]), " ".join(arguments[:2])
        answer = self.answers.get(specific, self.answers.get(general, self.answers.get(arguments[0], "")))
        if isinstance(answer, Refused):
            raise answer
        return answer if isinstance(answer, str) else json.dumps(answer)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def lines(cluster: Cluster, rendered: Callable[[str], Manifests]) -> Callable[..., dict[str, Line]]:
    """The table's lines by what they are about."""

    def of(name: str = "dev", manifests: Manifests | None = None) -> dict[str, Line]:
        return {line.what: line for line in look(OVERLAYS[name], manifests or rendered(name), cluster)}

    return of


def test_what_is_there_is_ok(lines: Callable[..., dict[str, Line]]) -> None:
    found = lines()

    ok = (
        "cluster",
        "namespace data-pipeline-dev",
        "permissions",
        "storage class",
        "memory",
        "image fieldpipe-airflow:0.1.0",
    )
    assert {found[what].finding for what in ok} == {Finding.OK}


def test_without_a_cluster_nothing_else_is_asked(cluster: Cluster, lines: Callable[..., dict[str, Line]]) -> None:
    cluster.answers["version"] = Refused("connection refused")

    found = lines()

    assert list(found) == ["cluster"]
    assert found["cluster"].finding is Finding.MISSING
    assert "connection refused" in found["cluster"].text


def test_a_cluster_that_is_too_old_is_refused(cluster: Cluster, lines: Callable[..., dict[str, Line]]) -> None:
    cluster.answers["version"]["serverVersion"] = {"major": "1", "minor": "31+", "gitVersion": "v1.31.2-eks"}

    assert lines()["cluster"] == Line("cluster", Finding.MISSING, "is v1.31.2-eks: Kubernetes 1.32 or newer is needed")


def test_without_a_default_storage_class_volumes_would_wait(
    cluster: Cluster, lines: Callable[..., dict[str, Line]]
) -> None:
    del cluster.answers["get storageclass"]["items"][0]["metadata"]["annotations"]

    line = lines()["storage class"]

    assert line.finding is Finding.MISSING
    assert "make one of standard the default" in line.text


def test_without_an_ingress_class_there_is_a_way_around(lines: Callable[..., dict[str, Line]]) -> None:
    line = lines()["ingress class"]

    assert line.finding is Finding.UNKNOWN
    assert "kubectl port-forward" in line.text


def test_kinds_that_may_not_be_created_are_named(cluster: Cluster, lines: Callable[..., dict[str, Line]]) -> None:
    cluster.answers["auth can-i create"] = "no\n"

    line = lines()["permissions"]

    assert line.finding is Finding.MISSING
    assert "NetworkPolicy" in line.text


def test_a_namespace_that_is_being_deleted_has_to_be_waited_for(
    cluster: Cluster, lines: Callable[..., dict[str, Line]]
) -> None:
    cluster.answers["get namespace data-pipeline-dev"] = {"status": {"phase": "Terminating"}}

    assert lines()["namespace data-pipeline-dev"].finding is Finding.MISSING


def test_an_image_that_only_some_nodes_have_is_missing(cluster: Cluster, lines: Callable[..., dict[str, Line]]) -> None:
    cluster.answers["get nodes"]["items"].append({"status": {"images": [], "allocatable": {"memory": "1Gi"}}})

    found = lines()

    assert found["image fieldpipe-airflow:0.1.0"].finding is Finding.MISSING
    assert "make images-kind" in found["image fieldpipe-worker:0.1.0"].text
    assert found["image docker.io/library/postgres:17.6"].finding is Finding.UNKNOWN


def test_too_little_memory_is_said_before_pods_wait_for_it(
    cluster: Cluster, lines: Callable[..., dict[str, Line]]
) -> None:
    cluster.answers["get nodes"]["items"][0]["status"]["allocatable"]["memory"] = "512Mi"

    line = lines()["memory"]

    assert line.finding is Finding.MISSING
    assert line.text.endswith("the nodes have 0.5 GiB: more or larger nodes, or overlays/kind to try it")


def test_secrets_of_production_have_to_be_there_with_their_keys(
    cluster: Cluster, lines: Callable[..., dict[str, Line]]
) -> None:
    cluster.answers["get secret minio"] = {"data": {"rootUser": "YQ==", "rootPassword": "Yg=="}}
    cluster.answers["get secret fieldpipe-store"] = {"data": {"access-key": "YQ=="}}

    found = lines("prod")

    assert found["Secret minio"].finding is Finding.OK
    assert found["Secret fieldpipe-store"].text == "create it with the key secret-key: overlays/prod/README.md says how"
    assert found["Secret webhook-token"].finding is Finding.MISSING


def test_extensions_that_the_cluster_does_not_know_are_missing(
    cluster: Cluster, lines: Callable[..., dict[str, Line]]
) -> None:
    scaled = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "airflow-worker"}}

    missing = lines(manifests=Manifests([scaled]))["ScaledObject"]
    cluster.answers["get customresourcedefinition scaledobjects.keda.sh"] = {"metadata": {"name": "x"}}
    there = lines(manifests=Manifests([scaled]))["ScaledObject"]

    assert (missing.finding, there.finding) == (Finding.MISSING, Finding.OK)


def test_what_the_account_may_not_ask_is_unknown(cluster: Cluster, lines: Callable[..., dict[str, Line]]) -> None:
    cluster.answers["get nodes"] = Refused('nodes is forbidden: User "x" cannot list')

    found = lines()

    assert found["images"].finding is Finding.UNKNOWN
    assert "forbidden" in found["room"].text


def test_a_kubectl_that_is_not_there_is_said(rendered: Callable[[str], Manifests]) -> None:
    (line,) = look(OVERLAYS["dev"], rendered("dev"), kubectl("/nowhere/kubectl"))

    assert line.finding is Finding.MISSING


def test_the_table_is_in_columns() -> None:
    lines = [Line("a", Finding.OK, "fine"), Line("long name", Finding.MISSING, "mend it")]

    assert table(lines) == "ok       a          fine\nmissing  long name  mend it"
