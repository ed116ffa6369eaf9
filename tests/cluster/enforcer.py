"""Keeps the packet filter as the cluster's NetworkPolicies demand: the part of a network plugin that enforces."""

import contextlib
import json
import threading

from tests.cluster.control_plane import ControlPlane
from tests.cluster.policies import CHAIN, Object, compile_rules

EVERY_SECONDS = 0.3
PODS = "/api/v1/pods"
NAMESPACES = "/api/v1/namespaces"
POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"


class Enforcer:
    """Works between enter and exit."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._applied = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> "Enforcer":
        self._load(f"*filter\n:{CHAIN} - [0:0]\n-I FORWARD 1 -j {CHAIN}\n-I INPUT 1 -j {CHAIN}\nCOMMIT")
        self._follow()  # an error of the first time is seen
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            with contextlib.suppress(AssertionError):  # the API may be restarting
                self._follow()

    def _follow(self) -> None:
        wanted = "\n".join(compile_rules(self._list(PODS), self._list(NAMESPACES), self._list(POLICIES)))
        if wanted != self._applied:
            self._load(wanted)
            self._applied = wanted

    def _load(self, rules: str) -> None:
        self._plane.room.run("iptables-restore", "--noflush", "-w", stdin=rules + "\n")

    def _list(self, path: str) -> list[Object]:
        items: list[Object] = json.loads(self._plane.kubectl("get", "--raw", path))["items"]
        return items
