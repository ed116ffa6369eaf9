"""Whatever an object names exists: what pods take in, where Services, Ingresses and URLs lead, who has a Role."""

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from fieldpipe.deploy.fields import Object, at, contents
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.pods import Container, Reference, Variable, Workload
from fieldpipe.deploy.rules.fault import Fault, Rule, fault
from fieldpipe.deploy.rules.settings import is_used

_URL = re.compile(r'(?P<scheme>[a-z0-9+]+)://([^@/\s"]*@)?(?P<host>[a-z0-9-]+)(:(?P<port>\d+))?(?=[/"\s?]|$)')
_HOSTS = re.compile(r"[a-z0-9.-]+:\d+(,[a-z0-9.-]+:\d+)*")  # as Kafka's clients name brokers
_USUAL_PORTS = {"postgresql": 5432, "redis": 6379, "https": 443, "http": 80}

Existing = Mapping[str, Set[str]]  # Secrets that the cluster has before we come, with their keys


@dataclass(frozen=True)
class Link:
    """By which variable a container knows which Service."""

    client: Workload
    container: Container
    variable: str
    service: str
    port: int


def needs_exist(existing: Existing) -> Rule:
    """The rule about ConfigMaps, Secrets and their keys, ServiceAccounts and claims that pods and Ingresses name."""

    def rule(manifests: Manifests) -> Iterator[Fault]:
        for reference, users in named(manifests).items():
            if not reference.optional and not _exists(manifests, reference, existing):
                yield Fault(str(reference), f"is not there, and is named by {', '.join(users)}")

    return rule


def needed_secrets(manifests: Manifests) -> dict[str, set[str]]:
    """The Secrets, with their keys, that are named and not among the manifests: somebody has to make them before."""
    needed: dict[str, set[str]] = {}
    for reference in named(manifests):
        if reference.kind == "Secret" and not reference.optional and not manifests.get("Secret", reference.name):
            needed.setdefault(reference.name, set()).update({reference.key} if reference.key else ())
    return needed


def named(manifests: Manifests) -> dict[Reference, list[str]]:
    """Everything that is named by pods, Ingresses, accounts and autoscalers, and by which."""
    users: dict[Reference, list[str]] = {}
    for workload in manifests.workloads:
        for reference in dict.fromkeys(workload.references):
            users.setdefault(reference, []).append(str(workload))
    for ingress in manifests.of("Ingress"):
        for secret in (entry["secretName"] for entry in ingress.spec.get("tls") or () if "secretName" in entry):
            for key in ("tls.crt", "tls.key"):
                users.setdefault(Reference("Secret", secret, key), []).append(str(ingress))
    for account in manifests.of("ServiceAccount"):
        for entry in account.data.get("imagePullSecrets") or ():
            users.setdefault(Reference("Secret", entry["name"], ".dockerconfigjson"), []).append(str(account))
    for each in manifests.of("TriggerAuthentication"):  # KEDA's
        for entry in each.spec.get("secretTargetRef") or ():
            users.setdefault(Reference("Secret", entry["name"], entry["key"]), []).append(str(each))
    return users


def services_lead_to_pods(manifests: Manifests) -> Iterator[Fault]:
    """A Service selects pods, and each of its ports is one of theirs."""
    for service in manifests.of("Service"):
        pods = manifests.selected({"matchLabels": service.spec.get("selector") or {}})
        serving = [pod for pod in pods if pod.serving]
        if not serving:
            yield fault(service, f"selects no pods ({service.spec.get('selector')})")
        ports = service.spec.get("ports") or ()
        for port in ports:
            target = port.get("targetPort", port["port"])
            for pod in serving:
                if target not in pod.ports:
                    yield fault(service, f"leads to port {target}, which {pod} does not have")
            if len(ports) > 1 and "name" not in port:
                yield fault(service, f"has several ports: {port['port']} needs a name")


def ingresses_lead_to_services(manifests: Manifests) -> Iterator[Fault]:
    """An Ingress' backends are Services and ports that exist."""
    for ingress in manifests.of("Ingress"):
        rules = [path for rule in ingress.spec.get("rules") or () for path in at(rule, "http", "paths") or ()]
        backends = [path["backend"]["service"] for path in rules]
        for backend in backends:
            wanted = at(backend, "port", "name") or at(backend, "port", "number")
            if wanted not in _ports(manifests.get("Service", backend["name"])):
                yield fault(ingress, f"leads to Service {backend['name']}, port {wanted}, which is not there")


def urls_lead_to_services(manifests: Manifests) -> Iterator[Fault]:
    """A URL with the bare name of a Service in it has that Service's port."""
    for link in linked(manifests):
        if link.port not in _ports(manifests.get("Service", link.service)):
            text = f"{link.variable} leads to {link.service}:{link.port}, which is no Service here"
            yield fault(link.client, text, link.container)


def linked(manifests: Manifests) -> Iterator[Link]:
    """Each address in a variable that its container uses."""
    for workload in manifests.workloads:
        for container in workload.containers:
            for name, variable in manifests.environment(container).items():
                if is_used(name, container):
                    yield from (Link(workload, container, name, *to) for to in _addresses(manifests, variable))


def roles_are_bound(manifests: Manifests) -> Iterator[Fault]:
    """A RoleBinding names a Role and ServiceAccounts of ours."""
    for binding in manifests.of("RoleBinding"):
        role = binding.at("roleRef", "name")
        if not manifests.get("Role", role):
            yield fault(binding, f"names Role {role}, which is not there")
        for subject in binding.data.get("subjects") or ():
            if not manifests.get("ServiceAccount", subject["name"]):
                yield fault(binding, f"names ServiceAccount {subject['name']}, which is not there")
            if subject.get("namespace") != binding.metadata.get("namespace"):
                yield fault(binding, f"binds an account of another namespace: {subject.get('namespace')}")


def probes_ask_known_ports(manifests: Manifests) -> Iterator[Fault]:
    """A probe's port is one that the container has."""
    for workload in manifests.workloads:
        for container in workload.containers:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                for action in ("httpGet", "tcpSocket"):
                    port = at(container.data, probe, action, "port")
                    if port is not None and port not in container.ports:
                        yield fault(workload, f"the {probe} asks port {port}, which is not listed", container)


def volumes_are_declared(manifests: Manifests) -> Iterator[Fault]:
    """What a container mounts is a volume of its pod, or of its StatefulSet's claims."""
    for workload in manifests.workloads:
        claims = {claim["metadata"]["name"] for claim in workload.owner.spec.get("volumeClaimTemplates") or ()}
        volumes = {volume["name"] for volume in workload.spec.get("volumes") or ()} | claims
        for container in workload.containers:
            for mount in container.data.get("volumeMounts") or ():
                if mount["name"] not in volumes:
                    yield fault(workload, f"mounts volume {mount['name']}, which the pod has not", container)


def _exists(manifests: Manifests, reference: Reference, existing: Existing) -> bool:
    found = manifests.get(reference.kind, reference.name)
    if found is None:
        keys = existing.get(reference.name) if reference.kind == "Secret" else None
        return keys is not None and (reference.key is None or reference.key in keys)
    return reference.key is None or reference.key in (contents(found) | (found.data.get("binaryData") or {}))


def _ports(service: Object | None) -> set[str | int]:
    ports = (service.spec.get("ports") or ()) if service else ()
    return {port["port"] for port in ports} | {port["name"] for port in ports if "name" in port}


def _addresses(manifests: Manifests, variable: Variable) -> Iterator[tuple[str, int]]:
    """Services and ports that a value names: in URLs, or by the bare name of a Service."""
    value = variable.value
    if variable.source and (source := manifests.get(variable.source.kind, variable.source.name)):
        value = contents(source).get(variable.source.key or variable.name)
    for found in _URL.finditer(str(value or "")):
        if found["host"] != "localhost":
            yield found["host"], int(found["port"] or _usual_port(found["scheme"]))
    if _HOSTS.fullmatch(str(value)):
        named = [each.split(":") for each in str(value).split(",")]
        yield from ((host, int(port)) for host, port in named if "." not in host and host != "localhost")
    if service := manifests.get("Service", str(value)):
        yield service.name, service.spec["ports"][0]["port"]


def _usual_port(scheme: str) -> int:
    """Of `postgresql+psycopg2`, and of `db+postgresql`, as Celery writes it."""
    return next((port for name, port in _USUAL_PORTS.items() if name in scheme.split("+")), 0)
