"""The one node: containerd, kubelet and kube-proxy, with pods on a bridge."""

import json
from pathlib import Path

from tests.cluster.control_plane import NODE, POD_ADDRESSES, SERVER, ControlPlane
from tests.cluster.programs import PLUGINS
from tests.cluster.room import CGROUP, NODE_ADDRESS
from tests.waiting import eventually

DNS_ADDRESS = "10.96.0.10"
PAUSE_IMAGE = "fieldpipe.test/pause:1"
SOCKET = "/run/containerd/containerd.sock"


def start(plane: ControlPlane) -> None:
    """Start the node; returns when it is ready for pods. Images are imported before (see `containerd`)."""
    _kubelet(plane)
    _proxy(plane)
    eventually(lambda: _ready(plane), 90, plane.room.tails)


def containerd(plane: ControlPlane) -> None:
    """Start what runs containers; returns when it answers."""
    folder = plane.room.folder / "containerd"
    networks = folder / "networks"
    networks.mkdir(parents=True, exist_ok=True)
    (networks / "10-bridge.conflist").write_text(json.dumps(_network()))
    config = folder / "config.toml"
    config.write_text(_containerd_config(folder / "root", networks))
    plane.room.start("containerd", ["containerd", "--config", str(config), "--log-level", "warn"])
    eventually(lambda: _answers(plane), 30, plane.room.tails)


def _answers(plane: ControlPlane) -> bool:
    try:
        return "Version" in plane.room.run("ctr", "version")
    except AssertionError:
        return False


def _ready(plane: ControlPlane) -> bool:
    condition = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return plane.kubectl("get", "node", NODE, "-o", condition, check=False).strip() == "True"


def _network() -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,  # a pod may reach itself through its Service
        "ipMasq": False,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": POD_ADDRESSES}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


def _containerd_config(root: Path, networks: Path) -> str:
    return f"""
version = 2
root = "{root}"
state = "/run/containerd"
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true  # root may lack CAP_SYS_RESOURCE, in a sandboxed machine as ours
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{PLUGINS}"
conf_dir = "{networks}"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""


def _kubelet(plane: ControlPlane) -> None:
    authority = plane.authority
    authority.issue("kubelet-server", f"system:node:{NODE}", hosts=[NODE, NODE_ADDRESS])
    kubeconfig = authority.kubeconfig("kubelet", SERVER, f"system:node:{NODE}", ["system:nodes"])
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": "",  # pods know the cluster's names only
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority.file("ca.crt"))},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(authority.file("kubelet-server.crt")),
        "tlsPrivateKeyFile": str(authority.file("kubelet-server.key")),
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "2%", "imagefs.available": "2%"},
        "imageGCHighThresholdPercent": 100,  # what was imported cannot be pulled again
        "localStorageCapacityIsolation": True,
        "maxPods": 100,
    }
    path = plane.room.folder / "kubelet.json"
    path.write_text(json.dumps(config))
    plane.room.start("kubelet", [
        str(plane.programs.kubelet), f"--config={path}", f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NODE}", f"--node-ip={NODE_ADDRESS}",
    ])  # fmt: skip


def _proxy(plane: ControlPlane) -> None:
    kubeconfig = plane.authority.kubeconfig("proxy", SERVER, "system:kube-proxy")
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "mode": "iptables",
        "clusterCIDR": POD_ADDRESSES,
        "hostnameOverride": NODE,
        "bindAddress": NODE_ADDRESS,
        "healthzBindAddress": "127.0.0.1:10256",
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    path = plane.room.folder / "kube-proxy.json"
    path.write_text(json.dumps(config))
    plane.room.start("kube-proxy", [str(plane.programs.proxy), f"--config={path}"])
