"""Network policies: everything is denied, and what the pipeline needs is admitted on both ends."""

from collections.abc import Iterator, Mapping

from fieldpipe.deploy.fields import Data, Object, matches
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.pods import Workload
from fieldpipe.deploy.rules.fault import Fault, fault
from fieldpipe.deploy.rules.references import linked

BOTH = {"Ingress", "Egress"}
# Labels of pods that need not be among the manifests.
LEFT_OUT = (
    {"component": "postgresql"},  # an overlay may take a database of its own; the chart's policies stay
    {"fieldpipe/uses-kafka": "true"},  # pods of tasks, which Airflow starts
)


def everything_else_is_denied(manifests: Manifests) -> Iterator[Fault]:
    """One policy selects all pods and admits nothing."""
    for policy in manifests.of("NetworkPolicy"):
        spec = policy.spec
        if set(spec.get("policyTypes") or ()) == BOTH and not any(
            spec.get(part) for part in ("podSelector", "ingress", "egress")
        ):
            return
    yield Fault("NetworkPolicy", "no policy denies all pods of the namespace both directions")


def policies_find_pods(manifests: Manifests) -> Iterator[Fault]:
    """A policy's selectors, its own and its peers', match pods that exist, and its ports are theirs."""
    for policy in manifests.of("NetworkPolicy"):
        chosen = manifests.selected(policy.spec.get("podSelector"))
        if not chosen and not _left_out(policy.spec.get("podSelector")):
            yield fault(policy, f"selects no pods: {policy.spec.get('podSelector')}")
        for rule in (*(policy.spec.get("ingress") or ()), *(policy.spec.get("egress") or ())):
            for peer in (*(rule.get("from") or ()), *(rule.get("to") or ())):
                selector = peer.get("podSelector")
                ours = selector and not _left_out(selector) and "namespaceSelector" not in peer
                if ours and not manifests.selected(selector):
                    yield fault(policy, f"admits pods that do not exist: {selector}")
        for rule in policy.spec.get("ingress") or ():
            for port in rule.get("ports") or ():
                if not any(port.get("port") in workload.ports for workload in chosen):
                    yield fault(policy, f"admits to port {port.get('port')}, which its pods do not have")


def urls_are_admitted(manifests: Manifests) -> Iterator[Fault]:
    """Who has the URL of a Service may talk to it: its egress and the server's ingress admit it."""
    faults = (
        fault(link.client, f"{link.variable} leads to {link.service}:{link.port}, but {refusal}")
        for link in linked(manifests)
        for server, port in _behind(manifests, link.service, link.port)
        for refusal in _refusals(manifests, link.client, server, port)
    )
    yield from dict.fromkeys(faults)  # containers of a pod often share a variable


def _left_out(selector: Data | None) -> bool:
    labels = (selector or {}).get("matchLabels") or {}
    return any(each.items() <= labels.items() for each in LEFT_OUT)


def _refusals(manifests: Manifests, client: Workload, server: Workload, port: int) -> Iterator[str]:
    if not _admits(manifests, "Egress", of=client, peer=server, port=port):
        yield f"no NetworkPolicy lets {client} out to {server}"
    if not _admits(manifests, "Ingress", of=server, peer=client, port=port):
        yield f"no NetworkPolicy lets {client} in to {server}"


def _admits(manifests: Manifests, direction: str, *, of: Workload, peer: Workload, port: int) -> bool:
    policies = [
        policy
        for policy in manifests.of("NetworkPolicy")
        if direction in _types(policy) and matches(policy.spec.get("podSelector") or {}, of.labels)
    ]
    field, side = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    server = of if direction == "Ingress" else peer
    return not policies or any(
        _peer(rule.get(side), peer.labels) and _port(rule.get("ports"), port, server)
        for policy in policies
        for rule in policy.spec.get(field) or ()
    )


def _types(policy: Object) -> set[str]:
    return set(policy.spec.get("policyTypes") or {"Ingress"} | ({"Egress"} if policy.spec.get("egress") else set()))


def _peer(peers: list[Data] | None, labels: Mapping[str, str]) -> bool:
    """Peers of our own namespace; one that names namespaces by label might be ours, if it names none in particular."""
    return not peers or any(
        "ipBlock" not in peer
        and not (peer.get("namespaceSelector") or {}).get("matchLabels")
        and matches(peer.get("podSelector") or {}, labels)
        for peer in peers
    )


def _port(ports: list[Data] | None, wanted: int, server: Workload) -> bool:
    return not ports or any(port.get("port") in (None, wanted, _name(server, wanted)) for port in ports)


def _behind(manifests: Manifests, service: str, port: int) -> Iterator[tuple[Workload, int]]:
    """The pods behind a Service's port, and the number of the port they have for it."""
    found = manifests.get("Service", service)
    for entry in (found.spec.get("ports") or ()) if found else ():
        if found and entry["port"] == port:
            for workload in manifests.selected({"matchLabels": found.spec.get("selector") or {}}):
                yield workload, _number(workload, entry.get("targetPort", port))


def _listed(workload: Workload) -> list[Data]:
    return [port for container in workload.containers for port in container.data.get("ports") or ()]


def _number(workload: Workload, port: str | int) -> int:
    return next((int(p["containerPort"]) for p in _listed(workload) if port in (p.get("name"), p["containerPort"])), -1)


def _name(workload: Workload, port: int) -> str | None:
    return next((p.get("name") for p in _listed(workload) if p["containerPort"] == port), None)
