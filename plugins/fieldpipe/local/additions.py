"""What a stack has beside recordings, if its user asks for it: cameras, the sentinel."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from fieldpipe.local import cameras, etcd, kafka, mariadb, sentinel
from fieldpipe.local.cameras import CAMERA_BUCKET, Cameras
from fieldpipe.local.credentials import Credentials
from fieldpipe.local.etcd import EtcdServer, etcd_program
from fieldpipe.local.home import Home
from fieldpipe.local.kafka import TansuServer
from fieldpipe.local.mariadb import MariadbServer
from fieldpipe.local.sentinel import Sentinel
from fieldpipe.local.steps import Step
from fieldpipe.settings import StoreSettings


@dataclass(frozen=True)
class Additions:
    """Each of them, or none."""

    cameras: Cameras | None
    sentinel: Sentinel | None

    def variables(self) -> dict[str, str]:
        """What our programs, Airflow's DAG files and the pods get."""
        return {
            **(self.cameras.variables() if self.cameras else {}),
            **(self.sentinel.variables() if self.sentinel else {}),
        }

    def account(self) -> dict[str, str]:
        """What leads people's programs to a server that asks for a password."""
        return self.sentinel.account() if self.sentinel else {}

    def secrets(self) -> dict[str, dict[str, str]]:
        """Secrets for pods."""
        return self.sentinel.secrets() if self.sentinel else {}

    def buckets(self) -> tuple[str, ...]:
        """Of the store."""
        return (kafka.BUCKET, CAMERA_BUCKET) if self.cameras else ()

    def steps(self) -> tuple[Step, ...]:
        """What runs."""
        return (*(self.cameras.steps() if self.cameras else ()), *(self.sentinel.steps() if self.sentinel else ()))


def names() -> tuple[str, ...]:
    """Of the ports that the chosen ones take. Raises ConfigurationError."""
    mirror = sentinel.chosen()
    return (
        *((kafka.PORT,) if cameras.chosen() else ()),
        *(etcd.PORTS if mirror else ()),
        *((mariadb.PORT,) if mirror == "mariadb" else ()),
    )


def compose(
    home: Home, ports: Mapping[str, int], store: StoreSettings, secrets: Credentials, sockets: Path
) -> Additions:
    """Those whose ports are there."""
    with_sentinel = etcd.PORTS[0] in ports
    return Additions(
        cameras=_cameras(home, ports, store) if kafka.PORT in ports else None,
        sentinel=_sentinel(home, ports, secrets, sockets) if with_sentinel else None,
    )


def _cameras(home: Home, ports: Mapping[str, int], store: StoreSettings) -> Cameras:
    return Cameras(home, TansuServer(home.data / "kafka", ports[kafka.PORT], store, home.stack))


def _sentinel(home: Home, ports: Mapping[str, int], secrets: Credentials, sockets: Path) -> Sentinel:
    server = EtcdServer(home.data / "etcd", ports, home.stack, etcd_program())
    if mariadb.PORT not in ports:
        return Sentinel(home, server, None)
    password = SecretStr(secrets.mariadb_password)
    database = MariadbServer(home.data / "mariadb", sockets / "mariadb", ports[mariadb.PORT], password, home.stack)
    return Sentinel(home, server, database)
