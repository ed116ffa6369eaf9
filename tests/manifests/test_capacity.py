"""What pods reserve finds room on a small node."""

from collections.abc import Callable

import pytest

from fieldpipe.deploy.capacity import amount, reserved
from fieldpipe.deploy.objects import Manifests, parse
from fieldpipe.settings import PodSettings

POD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  template:
    spec:
      initContainers:
        - {name: first, resources: {requests: {cpu: 100m}}}
        - {name: second, resources: {requests: {cpu: 300m}}}
      containers:
        - {name: web, resources: {requests: {cpu: 150m}}}
        - {name: helper, resources: {requests: {cpu: 50m}}}
"""


def test_containers_that_end_first_and_those_that_stay_share_their_room() -> None:
    assert reserved(parse(POD), "cpu") == pytest.approx(2 * 0.3)


@pytest.mark.parametrize(("overlay", "cpus"), [("dev", 2), ("cameras", 2), ("kind", 1)])
def test_an_overlay_for_development_finds_room_with_two_tasks(
    rendered: Callable[[str], Manifests], overlay: str, cpus: float
) -> None:
    """Else pods wait for a Job that finds no room beside them, for ever."""
    settings = rendered(overlay).get("ConfigMap", "pipeline-config")
    assert settings is not None
    task = amount(settings.data["data"].get("FIELDPIPE_POD_CPU", PodSettings.model_fields["cpu"].default))

    assert reserved(rendered(overlay), "cpu") + 2 * task < cpus


@pytest.mark.parametrize(
    ("text", "expected"), [("250m", 0.25), ("2", 2), (1, 1), ("1Ki", 1024), ("1k", 1000), (None, 0)]
)
def test_amounts_are_read_as_kubernetes_writes_them(text: str | int | None, expected: float) -> None:
    assert amount(text) == pytest.approx(expected)
