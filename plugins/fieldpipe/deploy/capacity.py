"""How much room pods reserve on a cluster's nodes."""

import re

from fieldpipe.deploy.fields import at
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.pods import Workload

_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def reserved(manifests: Manifests, kind: str) -> float:
    """How much all pods reserve when an overlay starts: CPUs, or bytes of memory."""
    return sum(
        _of_pod(workload, kind) * int(workload.owner.spec.get("replicas", 1)) for workload in manifests.workloads
    )


def _of_pod(workload: Workload, kind: str) -> float:
    """A pod's initContainers run one after the other, before the others: what is reserved serves both."""
    wanted = [(c.first, amount(at(c.data, "resources", "requests", kind))) for c in workload.containers]
    return max([sum(size for first, size in wanted if not first), *(size for first, size in wanted if first)])


def amount(quantity: str | int | None) -> float:
    """A quantity as Kubernetes writes it, as a number: `500m` is 0.5, `1Ki` 1024."""
    found = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(quantity or 0))
    return float(found[1]) * _UNITS[found[2]] if found else 0.0
