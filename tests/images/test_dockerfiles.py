"""What the Dockerfiles say fits the rest of the project."""

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from fieldpipe.deploy.images import IMAGES, project_version

ROOT = Path(__file__).parents[2]
USERS = {"broker": "10001:10001", "worker": "10001:10001", "webhook": "10001:10001", "airflow": "50000:0"}


def dockerfile(image: str) -> str:
    return (ROOT / f"Dockerfile.{image}").read_text()


def copied(image: str) -> set[str]:
    """What a Dockerfile takes from this folder."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", dockerfile(image), re.M)
    return {source for line in lines for source in line.split()[:-1]}


def test_there_is_one_for_each_image() -> None:
    assert {path.suffix[1:] for path in ROOT.glob("Dockerfile.*")} == set(IMAGES)


@pytest.mark.parametrize("image", IMAGES)
def test_its_version_is_the_projects(image: str) -> None:
    assert re.findall(r"^ARG VERSION=(.*)$", dockerfile(image), re.M) == [project_version(ROOT)]


@pytest.mark.parametrize("image", IMAGES)
def test_the_user_is_the_one_that_pods_are_told_to_be(image: str) -> None:
    assert re.findall(r"^USER (.*)$", dockerfile(image), re.M) == [USERS[image]]


@pytest.mark.parametrize("image", IMAGES)
def test_what_it_copies_exists_and_is_let_through(image: str) -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    allowed = [pattern[1:] for pattern in patterns if pattern.startswith("!")]

    for source in copied(image):
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) or source.startswith(f"{pattern}/") for pattern in allowed), source


@pytest.mark.parametrize("image", IMAGES)
def test_it_installs_its_own_lock_with_hashes_only(image: str) -> None:
    installs = re.findall(r"pip (?:--python \S+ )?install (.*?)(?: \\)?$", dockerfile(image), re.M)

    assert f"requirements/{image}.txt" in copied(image)
    assert len(installs) == 3
    assert all("--require-hashes" in one or "--no-index" in one for one in installs)


def test_every_script_that_a_manifest_starts_is_in_an_image() -> None:
    in_images = {path for image in IMAGES for path in copied(image) if path.startswith("scripts/")}
    manifests = [
        path.read_text() for folder in ("base", "components", "overlays") for path in (ROOT / folder).rglob("*.yaml")
    ]

    started = {f"scripts/{name}.py" for text in manifests for name in re.findall(r"\bscripts\.([a-z_]+)", text)}

    assert started
    assert started <= in_images


def test_every_script_that_a_dag_runs_in_a_pod_is_in_the_worker_image() -> None:
    dags = [path.read_text() for path in (ROOT / "dags").glob("*.py")]

    run = {f"scripts/{name}.py" for text in dags for name in re.findall(r"\bpod_task\(\s*\"([a-z_]+)\"", text)}

    assert run
    assert run <= copied("worker")


def test_scripts_in_images_import_no_other_script() -> None:
    for image in IMAGES:
        for path in copied(image):
            if path.startswith("scripts/"):
                tree = ast.parse((ROOT / path).read_text())
                names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
                assert not [name for name in names if name.startswith("scripts")], path


def test_airflow_gets_all_that_its_plugin_loader_reads() -> None:
    wanted = {f"plugins/{path.name}" for path in (ROOT / "plugins").iterdir() if path.is_file()}

    assert wanted <= copied("airflow")


def test_the_locks_hold_no_address() -> None:
    for lock in (ROOT / "requirements").rglob("*.txt"):
        assert not re.search(r"://|--(?:index-url|extra-index-url|find-links|trusted-host)", lock.read_text()), lock
