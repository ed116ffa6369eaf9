"""components/kafka is what an Apache Kafka takes, and the one that our tests know."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.pods import Container
from tests.kafka_programs import KAFKA

CONFIGURATION = Path(__file__).parents[2] / "components/kafka/server.properties"
DATA = "/var/lib/kafka/data"


@pytest.fixture
def container(rendered: Callable[[str], Manifests]) -> Container:
    (kafka,) = (each for each in rendered("cameras").workloads if each.owner.name == "kafka")
    return kafka.containers[0]


def test_its_image_is_of_the_version_of_the_tests(container: Container) -> None:
    assert container.image == f"docker.io/apache/kafka:{KAFKA}"


def test_its_volume_is_where_its_data_are(container: Container) -> None:
    mounts = [mount["mountPath"] for mount in container.data["volumeMounts"] if mount["name"] == "data"]

    assert f"log.dirs={DATA}" in CONFIGURATION.read_text().splitlines()
    assert mounts == [str(Path(DATA).parent)]


@pytest.mark.kafka
def test_kafka_formats_its_volume_with_its_configuration_and_leaves_it_alone_the_next_time(
    container: Container, apache_jars: Path, tmp_path: Path
) -> None:
    file = tmp_path / "server.properties"
    file.write_text(CONFIGURATION.read_text().replace(DATA, str(tmp_path / "data")))
    (cluster,) = (each.value for each in container.variables if each.name == "CLUSTER_ID")
    options = ["format", "--ignore-formatted", "--cluster-id", cluster, "--config", str(file)]
    command = ["java", "-cp", f"{apache_jars}/*", "kafka.tools.StorageTool", *options]

    first = subprocess.run(command, capture_output=True, text=True)
    again = subprocess.run(command, capture_output=True, text=True)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert f"cluster.id={cluster}" in (tmp_path / "data/meta.properties").read_text().splitlines()
    assert "already formatted" in again.stdout
