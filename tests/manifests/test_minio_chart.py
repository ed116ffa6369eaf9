"""charts/minio: refuses what it cannot do, and does the rest."""

import subprocess
from pathlib import Path

import pytest

from fieldpipe.deploy.objects import Manifests, parse
from fieldpipe.deploy.tools import Tools

CHART = Path(__file__).parents[2] / "charts/minio"


def helm(tools: Tools, *values: str) -> "subprocess.CompletedProcess[str]":
    """`helm template` with these values."""
    sets = [f"--set={value}" for value in values]
    command = [str(tools.helm), "template", "store", str(CHART), "--namespace=there", *sets]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def render(tools: Tools, *values: str) -> Manifests:
    done = helm(tools, "existingSecret=root", *values)
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([], "existingSecret"),
        (["existingSecret=root", "mode=distributed"], "mode"),
        (["existingSecret=root", "replicas=4"], "replicas"),
        (["existingSecret=root", "image.tag=latest"], "tag"),
        (["existingSecret=root", "deploymentUpdate.type=RollingUpdate"], "type"),
        (["existingSecret=root", "securityContext.enabled=false"], "enabled"),
    ],
)
def test_what_it_cannot_do_is_refused(tools: Tools, values: list[str], named: str) -> None:
    done = helm(tools, *values)

    assert done.returncode != 0
    assert named in done.stderr


def test_everything_is_in_the_namespace_of_the_release(tools: Tools) -> None:
    objects = render(tools, "networkPolicy.enabled=true").objects

    assert len(objects) == 6
    assert {each.data["metadata"]["namespace"] for each in objects} == {"there"}


def test_a_volume_that_is_there_already_is_taken(tools: Tools) -> None:
    manifests = render(tools, "persistence.existingClaim=mine")

    deployment = manifests.get("Deployment", "store-minio")
    assert deployment is not None
    assert manifests.of("PersistentVolumeClaim") == []
    assert deployment.spec["template"]["spec"]["volumes"][0] == {
        "name": "export",
        "persistentVolumeClaim": {"claimName": "mine"},
    }


def test_variables_of_the_server_stay_texts(tools: Tools) -> None:
    deployment = render(tools, "environment.MINIO_BROWSER=off").get("Deployment", "store-minio")

    assert deployment is not None
    (container,) = deployment.spec["template"]["spec"]["containers"]
    assert {"name": "MINIO_BROWSER", "value": "off"} in container["env"]


def test_clients_are_told_by_a_label_when_nobody_else_is_admitted(tools: Tools) -> None:
    manifests = render(tools, "networkPolicy.enabled=true", "networkPolicy.allowExternal=false")

    policy = manifests.get("NetworkPolicy", "store-minio")
    assert policy is not None
    (rule,) = policy.spec["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"store-minio-client": "true"}}}]
