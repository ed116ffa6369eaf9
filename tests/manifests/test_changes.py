"""What happens to the manifests when something changes, and that nothing changes by itself."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldpipe.deploy import overlay
from fieldpipe.deploy.objects import Manifests, parse
from fieldpipe.deploy.overlay import Overlay
from fieldpipe.deploy.rendering import render
from fieldpipe.deploy.rules.changes import changed_jobs, not_rolled
from fieldpipe.deploy.tools import Tools
from fieldpipe.errors import PermanentError
from tests.manifests.conftest import OVERLAYS
from tests.manifests.tree import append, copy_tree


def test_rendering_again_gives_the_same_bytes(tools: Tools) -> None:
    folder = OVERLAYS["dev"].folder

    assert render(folder, tools) == render(folder, tools)


def test_a_changed_setting_rolls_what_serves_and_leaves_jobs_alone(
    tools: Tools, tmp_path: Path, rendered: Callable[[str], Manifests]
) -> None:
    project = copy_tree(tmp_path)
    append(project / "base/config.env", "FIELDPIPE_DISPATCH_LEASE_SECONDS=20\n")

    after = parse(render(project / "overlays/dev", tools))

    assert [str(fault) for fault in changed_jobs(rendered("dev"), after)] == []
    assert [str(fault) for fault in not_rolled(rendered("dev"), after)] == []
    (changed,) = overlay.load(project, "dev")
    assert [str(fault) for fault in changed.faults(after)] == []


def test_a_job_that_changes_and_a_deployment_that_does_not_are_noticed(rendered: Callable[[str], Manifests]) -> None:
    before = rendered("dev")
    objects = copy.deepcopy([dict(each.data) for each in before.objects])
    job = next(each for each in objects if each["kind"] == "Job" and each["metadata"]["name"] == "ledger-migrate")
    job["spec"]["template"]["spec"]["containers"][0]["image"] = "fieldpipe-webhook:0.2.0"

    assert [fault.about for fault in changed_jobs(before, Manifests(objects))] == ["Job ledger-migrate"]
    assert "Deployment dispatcher" in [fault.about for fault in not_rolled(before, Manifests(objects))]


def test_production_refuses_to_build_with_passwords_of_the_repository(tools: Tools, tmp_path: Path) -> None:
    project = copy_tree(tmp_path)
    kustomization = project / "overlays/prod/kustomization.yaml"
    text = kustomization.read_text()
    assert "resources:\n" in text
    kustomization.write_text(text.replace("resources:\n", "resources:\n  - ../dev/secrets\n"))

    with pytest.raises(PermanentError, match="dev-only"):
        render(project / "overlays/prod", tools)


@pytest.mark.parametrize("component", ["keda", "pull-secret", "service-monitor"])
def test_an_overlay_with_an_optional_component_keeps_every_rule(tools: Tools, tmp_path: Path, component: str) -> None:
    project = copy_tree(tmp_path)
    append(project / "overlays/dev/kustomization.yaml", f"components:\n  - ../../components/{component}\n")

    assert faults(project, "dev", tools) == []


def test_production_with_cameras_wants_to_know_where_kafka_is(tools: Tools, tmp_path: Path) -> None:
    project = copy_tree(tmp_path)
    append(project / "overlays/prod/kustomization.yaml", "components:\n  - ../../components/cameras\n")

    assert faults(project, "prod", tools) == [
        "ConfigMap pipeline-config: KAFKA_BROKERS is not set, and cameras are on: the overlay's config.env",
        "ConfigMap pipeline-config: CAMERA_TOPICS is not set, and cameras are on: the overlay's config.env",
    ]
    append(project / "overlays/prod/config.env", "KAFKA_BROKERS=kafka.factory.lan:9092\nCAMERA_TOPICS=gate\n")
    assert faults(project, "prod", tools) == []


def test_kafka_connect_takes_an_image_of_its_own(tools: Tools, tmp_path: Path) -> None:
    project = copy_tree(tmp_path)
    kustomization = project / "overlays/cameras/kustomization.yaml"
    listed = "  - ../../components/kafka\n"
    kustomization.write_text(kustomization.read_text().replace(listed, f"{listed}  - ../../components/kafka-connect\n"))

    assert faults(project, "cameras", tools) == [
        "Deployment kafka-connect, container kafka-connect: image 'kafka-connect' needs a tag of a version, or a digest"
    ]
    append(kustomization, "images:\n  - {name: kafka-connect, newName: registry.lan/kafka-connect, newTag: 1.0.0}\n")
    assert faults(project, "cameras", tools) == []


def faults(project: Path, name: str, tools: Tools) -> list[str]:
    """What the rules find in an overlay of a changed copy."""
    (changed,) = overlay.load(project, name)
    return [str(fault) for fault in changed.faults(parse(render(changed.folder, tools)))]


def test_what_a_readme_asks_for_and_nobody_needs_is_a_fault(rendered: Callable[[str], Manifests]) -> None:
    real = OVERLAYS["prod"]
    more = Overlay(real.name, real.folder, real.namespace, {**real.asked, "forgotten": {"key"}})

    assert [str(fault) for fault in more.faults(rendered("prod"))] == [
        "overlays/prod/README.md: asks for Secret forgotten, key key: nobody needs it"
    ]


def test_secrets_are_read_from_the_commands_that_make_them() -> None:
    text = """
    kubectl create secret generic one --from-literal=a=$X --from-file=b.pem=file
    kubectl create secret generic two \\
      --from-literal=url=postgresql://user:pass@host/db
    kubectl create secret tls three --cert=a --key=b
    kubectl create secret docker-registry four --docker-server=registry.example.com
    """

    assert overlay.documented_secrets(text) == {
        "one": {"a", "b.pem"},
        "two": {"url"},
        "three": {"tls.crt", "tls.key"},
        "four": {".dockerconfigjson"},
    }
