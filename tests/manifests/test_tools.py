"""helm and kustomize are found, and a pair that does not fit is told from one that does."""

from pathlib import Path

import pytest

from fieldpipe.deploy.tools import Tools, find_tools, from_path, parse
from fieldpipe.errors import ConfigurationError

HELM_4 = 'echo "v4.2.3+g43e8b7f"'
HELM_3 = 'echo "v3.17.2+gcc0bbbd"'


def programs(folder: Path, **scripts: str) -> str:
    """A PATH with these programs in it."""
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("helm", "kustomize", "complaint"),
    [
        ((3, 17, 2), (5, 5, 0), None),
        ((3, 17, 2), (5, 8, 1), None),
        ((4, 2, 3), (5, 8, 1), None),
        ((4, 0, 0), (5, 7, 1), "kustomize 5.7.1 (kustomize build) cannot call helm 4.0.0"),
        ((3, 17, 2), (5, 4, 3), "kustomize 5.4.3 (kustomize build) is too old"),
    ],
)
def test_which_pairs_fit(helm: tuple[int, ...], kustomize: tuple[int, ...], complaint: str | None) -> None:
    said = Tools(Path("helm"), ("kustomize", "build"), helm, kustomize).complaint()

    assert said is None if complaint is None else said is not None and said.startswith(complaint)


def test_the_machines_own_kustomize_comes_before_its_kubectl(tmp_path: Path) -> None:
    path = programs(tmp_path, helm=HELM_3, kustomize="echo v5.6.0", kubectl="exit 1")

    found = from_path(path)

    assert found == Tools(tmp_path / "helm", (f"{tmp_path}/kustomize", "build"), (3, 17, 2), (5, 6, 0))


def test_kubectl_tells_which_kustomize_it_brings(tmp_path: Path) -> None:
    path = programs(tmp_path, helm=HELM_4, kubectl="""echo '{"clientVersion": {}, "kustomizeVersion": "v5.8.1"}'""")

    found = from_path(path)

    assert found == Tools(tmp_path / "helm", (f"{tmp_path}/kubectl", "kustomize"), (4, 2, 3), (5, 8, 1))


def test_a_pair_that_fits_is_taken_from_path(tmp_path: Path) -> None:
    path = programs(tmp_path, helm=HELM_4, kustomize="echo v5.8.0")

    assert find_tools(tmp_path / "cache", path=path).helm == tmp_path / "helm"


def test_one_that_does_not_fit_is_left_for_the_wheels(tmp_path: Path) -> None:
    path = programs(tmp_path, helm=HELM_4, kustomize="echo v5.7.1")

    found = find_tools(tmp_path / "cache", path=path)

    assert found.helm.is_relative_to(tmp_path / "cache")
    assert found.complaint() is None


def test_a_wheel_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no wheel with helm and kubectl is installed"):
        find_tools(tmp_path / "cache", wheel=tmp_path)


def test_a_program_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="kustomize version failed: broken"):
        from_path(programs(tmp_path, helm=HELM_4, kustomize="echo broken >&2; exit 1"))


def test_versions_are_found_in_what_programs_say() -> None:
    assert [parse(text) for text in ("v4.2.3+g43e8b7f", "{kustomize/v5.4.2  2024-05-22T15:00}", "(devel)")] == [
        (4, 2, 3),
        (5, 4, 2),
        (0,),
    ]
