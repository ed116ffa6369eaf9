"""What NetworkPolicies mean, as packet filter rules: a function from the API's objects to iptables' language.

As with most network plugins a pod whose address is not known yet (its first second) is not isolated itself, and is
nobody's admitted peer either.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fieldpipe.deploy.fields import matches

Object = Mapping[str, Any]
CHAIN = "FIELDPIPE"
ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Direction:
    """A policy's direction: its names in a policy, and iptables' option for the isolated pod and for its peer."""

    name: str
    peers: str
    pod: str
    peer: str


DIRECTIONS = (Direction("Egress", "to", "-s", "-d"), Direction("Ingress", "from", "-d", "-s"))


@dataclass(frozen=True)
class Pod:
    """What of a pod matters here. A pod without an address of its own is none."""

    address: str
    namespace: str
    labels: Mapping[str, str]
    ports: Mapping[str, int] = field(default_factory=dict)  # by name


@dataclass(frozen=True)
class Scene:
    """Every pod, and the labels of every namespace."""

    pods: list[Pod]
    namespaces: Mapping[str, Mapping[str, str]]


def compile_rules(pods: Iterable[Object], namespaces: Iterable[Object], policies: Iterable[Object]) -> Iterator[str]:
    """The input of `iptables-restore --noflush`: a chain per isolated pod and direction, and one that leads to them."""
    scene = Scene(
        [pod for each in pods if (pod := _pod(each))],
        {each["metadata"]["name"]: each["metadata"].get("labels", {}) for each in namespaces},
    )
    listed = list(policies)
    ways = [f"-A {CHAIN} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"]
    chains: dict[str, list[str]] = {CHAIN: ways}
    for pod in scene.pods:
        for direction in DIRECTIONS:
            isolating = [policy for policy in listed if _isolates(policy, pod, direction)]
            if isolating:
                name = f"FP-{direction.name[0]}-{pod.address}"
                ways.append(f"-A {CHAIN} {direction.pod} {pod.address} -j {name}")
                admitted = [match for policy in isolating for match in _admitted(policy, pod, direction, scene)]
                chains[name] = [*(f"-A {name} {match} -j RETURN" for match in admitted), f"-A {name} -j DROP"]
    yield "*filter"
    yield from (f":{name} - [0:0]" for name in chains)
    for rules in chains.values():
        yield from rules
    yield "COMMIT"


def _pod(pod: Object) -> Pod | None:
    status = pod.get("status", {})
    if pod["spec"].get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed") or not status.get("podIP"):
        return None
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or []]
    named = {port["name"]: port["containerPort"] for port in ports if "name" in port}
    return Pod(status["podIP"], pod["metadata"]["namespace"], pod["metadata"].get("labels", {}), named)


def _isolates(policy: Object, pod: Pod, direction: Direction) -> bool:
    spec = policy["spec"]
    here = policy["metadata"]["namespace"] == pod.namespace
    return here and direction.name in spec["policyTypes"] and matches(spec.get("podSelector") or {}, pod.labels)


def _admitted(policy: Object, pod: Pod, direction: Direction, scene: Scene) -> Iterator[str]:
    """What a policy lets through to or from a pod."""
    for rule in policy["spec"].get(direction.name.lower()) or []:
        for address, peer in _peers(rule.get(direction.peers), policy["metadata"]["namespace"], scene):
            for port in _ports(rule.get("ports"), peer if direction.name == "Egress" else pod):
                yield f"{direction.peer} {address} {port}".strip()


def _peers(peers: Iterable[Object] | None, namespace: str, scene: Scene) -> Iterator[tuple[str, Pod | None]]:
    if not peers:
        yield ANYWHERE, None
    for peer in peers or ():
        if "ipBlock" in peer:
            yield from ((str(network), None) for network in _networks(peer["ipBlock"]))
            continue
        there = peer.get("namespaceSelector")
        for pod in scene.pods:
            near = pod.namespace == namespace if there is None else matches(there, scene.namespaces[pod.namespace])
            if near and matches(peer.get("podSelector") or {}, pod.labels):
                yield pod.address, pod


def _networks(block: Object) -> list[ipaddress.IPv4Network]:
    left = [ipaddress.IPv4Network(block["cidr"])]
    for hole in map(ipaddress.IPv4Network, block.get("except") or []):
        left = [part for network in left for part in _without(network, hole)]
    return left


def _without(network: ipaddress.IPv4Network, hole: ipaddress.IPv4Network) -> Iterable[ipaddress.IPv4Network]:
    return network.address_exclude(hole) if hole.subnet_of(network) else [network]


def _ports(ports: Iterable[Object] | None, target: Pod | None) -> Iterator[str]:
    if not ports:
        yield ""
    for port in ports or ():
        number = port.get("port")
        if isinstance(number, str):
            number = target.ports.get(number) if target else None
            if number is None:
                continue  # nobody has a port of that name there
        last = f":{port['endPort']}" if "endPort" in port else ""
        yield f"-p {port.get('protocol', 'TCP').lower()}" + (f" --dport {number}{last}" if number else "")
