"""Which commands build, push and load the images, and with what."""

import re
from pathlib import Path

import pytest

from fieldpipe.deploy.images import Machine, Step, Wish, edit_command, look_around, plan
from fieldpipe.errors import ConfigurationError

WORKER = ("worker",)
SCRATCH = Path("scratch")


def machine(engine: str) -> Machine:
    return Machine(engine, ("--build-arg=PIP_INDEX_URL",), revision="abc", scratch=SCRATCH)


def test_without_a_registry_images_keep_the_name_that_kubernetes_makes_of_the_one_in_base() -> None:
    assert plan(Wish(tag="1", images=WORKER), machine("docker")) == [
        Step(
            "building docker.io/library/fieldpipe-worker:1",
            (
                *("docker", "build", "--file=Dockerfile.worker", "--build-arg=VERSION=1", "--build-arg=REVISION=abc"),
                *("--build-arg=PIP_INDEX_URL", "--tag=docker.io/library/fieldpipe-worker:1", "."),
            ),
        )
    ]


def test_every_image_is_built_and_pushed() -> None:
    steps = plan(Wish(tag="1", registry="r.test/team"), machine("podman"))

    assert [step.says for step in steps] == [
        f"{what} r.test/team/fieldpipe-{image}:1"
        for image in ("worker", "webhook", "airflow", "broker")
        for what in ("building", "pushing")
    ]


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("docker", "docker push r.test/fieldpipe-worker:1"),
        ("podman", "podman push --digestfile=scratch/worker.digest r.test/fieldpipe-worker:1"),
        ("buildah", "buildah push --digestfile=scratch/worker.digest r.test/fieldpipe-worker:1"),
    ],
)
def test_each_engine_pushes_its_own_way(engine: str, expected: str) -> None:
    build, push = plan(Wish(tag="1", registry="r.test", images=WORKER), machine(engine))

    assert build.command[:2] == (engine, "build")
    assert " ".join(push.command) == expected


def test_several_platforms_become_one_manifest_that_is_new_each_time() -> None:
    wish = Wish(tag="1", registry="r.test", platforms=("linux/amd64", "linux/arm64"), images=WORKER)

    build, push = plan(wish, machine("buildah"))

    assert {"--platform=linux/amd64,linux/arm64", "--manifest=localhost/fieldpipe-worker:scratch"} < set(build.command)
    assert " ".join(push.command) == (
        "buildah manifest push --all --rm --digestfile=scratch/worker.digest "
        "localhost/fieldpipe-worker:scratch docker://r.test/fieldpipe-worker:1"
    )


def test_docker_builds_and_pushes_several_platforms_in_one_command() -> None:
    wish = Wish(tag="1", registry="r.test", platforms=("linux/amd64", "linux/arm64"), images=WORKER)

    (step,) = plan(wish, machine("docker"))

    assert step.command[:3] == ("docker", "buildx", "build")
    assert {"--push", "--platform=linux/amd64,linux/arm64"} < set(step.command)


def test_kind_gets_what_was_just_built() -> None:
    wish = Wish(tag="1", kind_cluster="mine", images=WORKER)

    assert [" ".join(step.command) for step in plan(wish, machine("podman"))[1:]] == [
        "podman save --format=docker-archive --output=scratch/worker.tar docker.io/library/fieldpipe-worker:1",
        "kind load image-archive scratch/worker.tar --name mine",
    ]
    assert plan(wish, machine("docker"))[-1].command == (
        *("kind", "load", "docker-image", "docker.io/library/fieldpipe-worker:1", "--name", "mine"),
    )


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (Wish(tag="1", platforms=("linux/amd64", "linux/arm64")), "give REGISTRY"),
        (Wish(tag="1", registry="r.test", kind_cluster="kind"), "leave REGISTRY out"),
    ],
)
def test_a_wish_that_cannot_be_fulfilled_is_refused_before_anything_is_built(wish: Wish, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        plan(wish, machine("docker"))


def test_an_overlay_is_told_the_digest_where_there_is_one() -> None:
    wish = Wish(tag="1", registry="r.test:5000/team", images=("worker", "webhook"))

    assert edit_command(wish, {"worker": "sha256:12"}) == (
        "kustomize edit set image fieldpipe-worker=r.test:5000/team/fieldpipe-worker@sha256:12 "
        "fieldpipe-webhook=r.test:5000/team/fieldpipe-webhook:1"
    )


def test_addresses_of_a_package_index_are_passed_by_name_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(_programs(tmp_path, "podman")))
    environment = {"PIP_INDEX_URL": "https://name:password@index.test/simple", "PIP_CONFIG_FILE": "/nowhere"}

    found = look_around(tmp_path, SCRATCH, None, environment)

    assert found.engine == "podman"
    assert "--build-arg=PIP_INDEX_URL" in found.build_options
    assert not any("password" in option for option in found.build_options)


def test_the_machines_certificates_are_mounted_into_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(_programs(tmp_path, "buildah")))
    bundle = tmp_path / "bundle.pem"
    bundle.touch()

    found = look_around(tmp_path, SCRATCH, None, {"SSL_CERT_FILE": str(bundle)})

    assert f"--volume={bundle}:/etc/ssl/certs/ca-certificates.crt:ro" in found.build_options


def test_a_machine_that_builds_no_images_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(_programs(tmp_path)))

    with pytest.raises(ConfigurationError, match=re.escape("apt install podman")):
        look_around(tmp_path, SCRATCH, None, {})


def test_a_docker_without_a_daemon_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(_programs(tmp_path, "docker", "podman")))
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")

    assert look_around(tmp_path, SCRATCH, None, {}).engine == "podman"


def _programs(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder
