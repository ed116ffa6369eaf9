"""The overlays, rendered once per session, and the pods that the DAGs' operators build."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldpipe.deploy import overlay
from fieldpipe.deploy.fields import Data
from fieldpipe.deploy.objects import Manifests, parse
from fieldpipe.deploy.overlay import Overlay
from fieldpipe.deploy.rendering import render
from fieldpipe.deploy.tools import Tools, find_tools
from tests.airflow_looks import Airflow
from tests.dags.test_dags import PODS

ROOT = Path(__file__).parents[2]
OVERLAYS = {each.name: each for each in overlay.load(ROOT)}
DAGS = sorted(file.stem for file in (ROOT / "dags").glob("*.py"))


@pytest.fixture(scope="session")
def tools() -> Tools:
    return find_tools(ROOT / ".cache/tools")


@pytest.fixture(scope="session")
def rendered(tools: Tools) -> Callable[[str], Manifests]:
    """`rendered("dev")`: all objects of an overlay."""
    done: dict[str, Manifests] = {}

    def of(name: str) -> Manifests:
        if name not in done:
            done[name] = parse(render(OVERLAYS[name].folder, tools))
        return done[name]

    return of


@pytest.fixture(params=sorted(OVERLAYS))
def chosen(request: pytest.FixtureRequest) -> Overlay:
    """Each overlay."""
    return OVERLAYS[request.param]


@pytest.fixture
def manifests(chosen: Overlay, rendered: Callable[[str], Manifests]) -> Manifests:
    """The objects of the chosen overlay."""
    return rendered(chosen.name)


@pytest.fixture
def objects_of(rendered: Callable[[str], Manifests]) -> Callable[[str], list[Data]]:
    """`objects_of("dev")`: the objects of an overlay, to be broken by a test."""
    return lambda name: copy.deepcopy([dict(each.data) for each in rendered(name).objects])


@pytest.fixture(scope="session")
def task_pods(rendered: Callable[[str], Manifests], in_airflow: Airflow) -> dict[str, Data]:
    """By DAG, the pod of its first task, as Airflow's worker in overlays/cameras would create it."""
    settings = rendered("cameras").get("ConfigMap", "pipeline-config")
    assert settings is not None
    variables = {**settings.data["data"], "FIELDPIPE_POD_NAMESPACE": OVERLAYS["cameras"].namespace}
    files, conf = [str(ROOT / f"dags/{name}.py") for name in DAGS], json.dumps({"key": "run1.mcap"})
    pods = in_airflow(PODS, conf, *files, variables=variables)
    return dict(zip(DAGS, pods, strict=True))


@pytest.fixture(params=DAGS)
def task_pod(request: pytest.FixtureRequest, task_pods: dict[str, Data]) -> Data:
    """The pod of each DAG."""
    return task_pods[request.param]
