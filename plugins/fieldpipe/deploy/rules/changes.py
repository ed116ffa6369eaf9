"""What a second `kubectl apply` meets: Jobs that cannot be changed, and pods that have to be rolled."""

import re
from collections.abc import Iterator

from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.rules.fault import Fault, fault

_HASHED = re.compile(r"-[bcdfghkmt2456789]{10}$")  # as kustomize ends the names of what it generates


def jobs_can_be_applied_again(manifests: Manifests) -> Iterator[Fault]:
    """A Job ends for good, and names nothing whose name changes with its content."""
    for workload in manifests.workloads:
        if workload.owner.kind != "Job":
            continue
        if not workload.owner.spec.get("ttlSecondsAfterFinished"):
            yield fault(
                workload, "has no ttlSecondsAfterFinished: it would stay, and a new version could not replace it"
            )
        for reference in workload.references:
            if _HASHED.search(reference.name):
                yield fault(workload, f"names {reference}: with other settings the Job could not be applied any more")


def changed_jobs(before: Manifests, after: Manifests) -> Iterator[Fault]:
    """The Jobs that changed under the same name: the API server refuses those."""
    for job in before.of("Job"):
        other = after.get("Job", job.name)
        if other and other.spec.get("template") != job.spec.get("template"):
            yield fault(job, "its template changes with the settings: it could not be applied again")


def not_rolled(before: Manifests, after: Manifests) -> Iterator[Fault]:
    """What takes its settings in as variables, and keeps running with the old ones."""
    for workload in before.workloads:
        whole = {reference.name for container in workload.containers for reference in container.whole}
        if workload.serving and any(name.startswith("pipeline-") for name in whole):
            other = after.get(workload.owner.kind, workload.owner.name)
            if other and other.spec.get("template") == workload.owner.spec.get("template"):
                yield fault(workload, "does not change with the settings: its pods would keep the old ones")
