"""components/broker is what the broker takes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fieldpipe.broker.settings import BrokerSettings
from fieldpipe.broker.sinks.registry import SWITCHES
from fieldpipe.deploy.fields import contents
from fieldpipe.deploy.images import project_version
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.pods import Workload

ROOT = Path(__file__).parents[2]


@pytest.fixture
def broker(rendered: Callable[[str], Manifests]) -> Workload:
    (found,) = (each for each in rendered("dev").workloads if each.owner.name == "broker")
    return found


def test_its_image_is_of_this_version(broker: Workload) -> None:
    assert broker.containers[0].image == f"fieldpipe-broker:{project_version(ROOT)}"


def test_its_spool_is_on_its_volume(broker: Workload) -> None:
    (container,) = broker.containers
    (spool,) = (each.value for each in container.variables if each.name == "KRAKENB_SPOOL")
    (volume,) = (each["mountPath"] for each in container.data["volumeMounts"] if each["name"] == "spool")

    assert Path(spool or "").parent == Path(volume)


def test_it_listens_where_its_probes_and_its_service_ask(broker: Workload) -> None:
    (container,) = broker.containers
    given = {each.name: each.value for each in container.variables}
    ports = {each["name"]: each["containerPort"] for each in container.data["ports"]}

    assert given["KRAKENB_GRPC_HOST"] == f"0.0.0.0:{ports['grpc']}"
    assert given["KRAKENB_METRICS_HOST"] == f"0.0.0.0:{ports['metrics']}"
    assert BrokerSettings.model_fields["grpc_host"].default.endswith(f":{ports['grpc']}")


def test_in_development_readings_become_recordings(rendered: Callable[[str], Manifests]) -> None:
    (settings,) = (each for each in rendered("dev").of("ConfigMap") if each.name.startswith("broker-settings-"))

    assert contents(settings) == {SWITCHES["bucket"][0]: "raw-data"}
