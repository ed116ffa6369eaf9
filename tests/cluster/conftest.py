"""A real Kubernetes for tests. Where it cannot be had they are skipped, and say why; in CI they fail instead."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from fieldpipe.deploy.tools import Tools
from tests.cluster import cluster
from tests.cluster.control_plane import ControlPlane
from tests.cluster.manifests import Manifests
from tests.cluster.programs import NotHere, Programs, manifest_tools, provide

Copy = Callable[[str], Manifests]


@pytest.fixture(scope="session")
def tools_pair() -> Tools:
    """helm and kustomize, the newer pair."""
    return manifest_tools()


@pytest.fixture(scope="session")
def absent() -> Callable[[NotHere], NoReturn]:
    """`absent(missing)` ends a test for want of it: skipped, or failed where CI says that it must be there."""

    def end(missing: NotHere) -> NoReturn:
        if os.environ.get("CI") == "true" and os.environ.get("FIELDPIPE_REQUIRE_CLUSTER") == "1":
            pytest.fail(str(missing))
        pytest.skip(f"NO CLUSTER HERE: {missing}")

    return end


@pytest.fixture(scope="session")
def programs(tools_pair: Tools, absent: Callable[[NotHere], NoReturn]) -> Programs:
    """The programs of Kubernetes, built if need be."""
    try:
        return provide(kubectl=Path(tools_pair.build[0]))
    except NotHere as missing:
        absent(missing)


@pytest.fixture(scope="module")
def plane(programs: Programs) -> Iterator[ControlPlane]:
    """A control plane without a node: objects are checked, stored and acted on; no container runs."""
    with cluster.api(programs) as started:
        yield started


@pytest.fixture(scope="session")
def manifests(tmp_path_factory: pytest.TempPathFactory, tools_pair: Tools) -> Copy:
    """`manifests("dev")`: a new copy of the manifests."""
    return lambda overlay: Manifests.copy(tmp_path_factory.mktemp(overlay), overlay, tools_pair)
