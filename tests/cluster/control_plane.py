"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler: what `kubectl apply` speaks to."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.pki import Authority
from tests.cluster.programs import Programs
from tests.cluster.room import NODE_ADDRESS, Room
from tests.waiting import eventually

SERVER = f"https://{NODE_ADDRESS}:6443"
NODE = "node"
POD_ADDRESSES = "10.244.0.0/24"
SERVICE_ADDRESSES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"  # Kubernetes gives its own API the first one
ISSUER = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True)
class ControlPlane:
    """A control plane that serves. `kubectl` speaks to it as the cluster's administrator."""

    room: Room
    programs: Programs
    authority: Authority
    admin: Path

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl; returns what it printed."""
        command = [str(self.programs.kubectl), "--kubeconfig", str(self.admin), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def serves(self) -> bool:
        """Whether the API answers and has made what every cluster begins with."""
        found = self.kubectl("get", "namespaces,priorityclasses", "-o", "name", check=False).split()
        return "namespace/default" in found and any("system-node-critical" in name for name in found)


def start(room: Room, programs: Programs) -> ControlPlane:
    """Start all four; returns when the API serves."""
    authority = Authority.create(room.folder / "pki")
    _certificates(authority)
    admin = authority.kubeconfig("admin", SERVER, "admin", ["system:masters"])
    _etcd(room, programs)
    _api_server(room, programs, authority)
    _controllers(room, programs, authority)
    plane = ControlPlane(room, programs, authority, admin)
    eventually(plane.serves, 120, room.tails)
    return plane


def _certificates(authority: Authority) -> None:
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    authority.issue("api-server", "kube-apiserver", hosts=[*names, FIRST_SERVICE, NODE_ADDRESS])
    authority.issue("api-server-as-client", "kube-apiserver-kubelet-client", ["system:masters"])


def _etcd(room: Room, programs: Programs) -> None:
    address = "http://127.0.0.1:2379"
    room.start("etcd", [
        str(programs.etcd), f"--data-dir={room.folder / 'etcd'}", "--unsafe-no-fsync",
        f"--listen-client-urls={address}", f"--advertise-client-urls={address}", "--listen-peer-urls=",
        "--log-level=warn",
    ])  # fmt: skip


def _api_server(room: Room, programs: Programs, authority: Authority) -> None:
    room.start("kube-apiserver", [
        str(programs.api_server),
        "--etcd-servers=http://127.0.0.1:2379",
        f"--bind-address={NODE_ADDRESS}", f"--advertise-address={NODE_ADDRESS}", "--secure-port=6443",
        f"--service-cluster-ip-range={SERVICE_ADDRESSES}",
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--anonymous-auth=false",
        f"--client-ca-file={authority.file('ca.crt')}",
        f"--tls-cert-file={authority.file('api-server.crt')}",
        f"--tls-private-key-file={authority.file('api-server.key')}",
        f"--kubelet-certificate-authority={authority.file('ca.crt')}",
        f"--kubelet-client-certificate={authority.file('api-server-as-client.crt')}",
        f"--kubelet-client-key={authority.file('api-server-as-client.key')}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={authority.file('service-accounts.key')}",
        f"--service-account-signing-key-file={authority.file('service-accounts.key')}",
    ])  # fmt: skip


def _controllers(room: Room, programs: Programs, authority: Authority) -> None:
    manager = authority.kubeconfig("controller-manager", SERVER, "system:kube-controller-manager")
    room.start("kube-controller-manager", [
        str(programs.controller_manager), f"--kubeconfig={manager}", "--leader-elect=false",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={authority.file('service-accounts.key')}",
        f"--root-ca-file={authority.file('ca.crt')}",
        "--node-monitor-grace-period=60s",
    ])  # fmt: skip
    scheduler = authority.kubeconfig("scheduler", SERVER, "system:kube-scheduler")
    room.start("kube-scheduler", [str(programs.scheduler), f"--kubeconfig={scheduler}", "--leader-elect=false"])
