"""components/etcd and components/mysql are what etcd and MariaDB take, and the ones that our tests know."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from fieldpipe.deploy import overlay
from fieldpipe.deploy.objects import Manifests, parse
from fieldpipe.deploy.pods import Container
from fieldpipe.deploy.rules.references import needed_secrets
from fieldpipe.deploy.tools import Tools
from fieldpipe.local import probe
from fieldpipe.local.etcd import etcd_program
from fieldpipe.local.ports import free_port
from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.mirror import Checkpoint, Mirror
from fieldpipe.sentinel.schema import connect, migrate
from fieldpipe.settings import EtcdSettings, MysqlSettings, SentinelSettings
from tests.cluster.manifests import Manifests as Copy
from tests.mariadb_servers import Mariadb
from tests.waiting import eventually

RIGHTS = Path(__file__).parents[2] / "components/mysql/rights.sh"
CLIENT, METRICS, PEER = 2379, 2381, 2380


@pytest.fixture
def container(rendered: Callable[[str], Manifests]) -> Callable[[str], Container]:
    """`container("etcd")`: that of a workload of overlays/dev."""
    by_name = {each.owner.name: each.containers[0] for each in rendered("dev").workloads}
    return lambda name: by_name[name]


@pytest.fixture
def etcd_ports(container: Callable[[str], Container], tmp_path: Path) -> Iterator[dict[int, int]]:
    """An etcd as the component starts it, but in a folder and on ports of the test; by the component's the test's."""
    ports: dict[int, int] = {}
    for port in (CLIENT, METRICS, PEER):
        ports[port] = free_port(set(ports.values()))
    words = " ".join(container("etcd").words[1:]).replace("/var/lib/etcd", str(tmp_path)).replace("0.0.0.0", probe.HOST)
    for port, own in ports.items():
        words = words.replace(f":{port}", f":{own}")
    words += f" --initial-advertise-peer-urls=http://127.0.0.1:{ports[PEER]}"
    words += f" --initial-cluster=etcd=http://127.0.0.1:{ports[PEER]}"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([etcd_program(), *words.split()], stdout=log, stderr=log)
    try:
        yield ports
    finally:
        process.terminate()
        process.wait(20)


def test_etcd_takes_its_options_and_answers_its_probes(
    container: Callable[[str], Container], etcd_ports: dict[int, int]
) -> None:
    probes = [container("etcd").data[name]["httpGet"] for name in ("startupProbe", "readinessProbe")]
    (path,) = {each["path"] for each in probes}

    eventually(lambda: probe.get(etcd_ports[METRICS], path) == {"health": "true", "reason": ""}, 20)

    with Etcd(EtcdSettings(host=probe.HOST, port=etcd_ports[CLIENT])) as etcd:
        assert etcd.put(b"/Device/edge/0", b"{}") == 2


def test_the_images_are_of_the_versions_that_we_know(container: Callable[[str], Container]) -> None:
    tags = {name: container(name).image.rpartition(":")[2] for name in ("etcd", "mysql")}

    assert tuple(map(int, tags["etcd"].removeprefix("v").split("."))) >= (3, 5, 8)  # its progress does not overtake
    assert tags["mysql"].startswith("10.11.")


def test_production_takes_the_watcher_and_two_hosts(tmp_path: Path, tools: Tools) -> None:
    prod = Copy.copy(tmp_path, "prod", tools)
    kustomization = tmp_path / "overlays/prod/kustomization.yaml"
    text = kustomization.read_text()
    kustomization.write_text(text.replace("\nresources:", "\ncomponents: [../../components/sentinel]\nresources:", 1))
    prod.set("MY_ETCD_HOST", "titaniadb.factory.lan")
    prod.set("MY_MYSQL_HOST", "mysql.factory.lan")

    manifests = parse(prod.render())

    (settings,) = overlay.load(tmp_path, "prod")
    images = {each.owner.name: each.containers[0].image for each in manifests.workloads}
    assert [str(fault) for fault in settings.faults(manifests)] == []
    assert needed_secrets(manifests)["fieldpipe-mysql"] == {"user", "password"}
    assert images["sentinel"].startswith("registry.example.com/fieldpipe-worker@sha256:")


@pytest.mark.mariadb
def test_mariadb_is_the_one_of_the_image(container: Callable[[str], Container], mariadb: Mariadb) -> None:
    ((version,),) = mariadb.query("SELECT VERSION()")

    assert str(version).split(".")[:2] == container("mysql").image.rpartition(":")[2].split(".")[:2]


@pytest.mark.mariadb
def test_its_first_start_gives_the_mirror_the_rights_that_it_needs_and_no_more(mariadb: Mariadb) -> None:
    mariadb.run("CREATE OR REPLACE USER 'sentinel'@'%' IDENTIFIED BY 'word'")
    root = mariadb.settings
    client = f"mariadb --no-defaults --protocol=tcp --port={root.port} --user={root.user}"
    script = f'docker_process_sql() {{ {client} "$@"; }}; . {RIGHTS}'
    password = root.password.get_secret_value()
    environment = {**os.environ, "MYSQL_PWD": password, "MARIADB_USER": "sentinel"}
    subprocess.run(["bash", "-euc", script], env=environment, check=True)
    account = MysqlSettings(host=root.host, port=root.port, user="sentinel", password=SecretStr("word"))
    engine = connect(SentinelSettings(), account)

    migrate(engine)
    migrate(engine)
    Mirror(engine).relist(None, Checkpoint("c", 1), [])

    with engine.connect() as connection, pytest.raises(OperationalError, match="denied"):
        connection.exec_driver_sql("CREATE DATABASE elsewhere")
    engine.dispose()
