"""Where objects are and what they are called."""

from collections.abc import Iterator

from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.rules.fault import Fault, Rule, fault

CLUSTER_WIDE = ("Namespace",)
DEV_ONLY = "fieldpipe/dev-only"

PROMISED = {  # by our documents and those that the project was created from
    "Deployment": (
        "airflow-api-server",
        "airflow-dag-processor",
        "airflow-scheduler",
        "airflow-triggerer",
        "dispatcher",
        "minio",
        "webhook-receiver",
    ),
    "StatefulSet": ("airflow-worker",),
    "CronJob": ("event-sync",),
    "Job": ("airflow-create-user", "airflow-run-airflow-migrations", "ledger-migrate", "minio-event-setup"),
    "Service": ("airflow-api-server", "minio", "minio-console", "webhook-receiver"),
    "ConfigMap": ("pipeline-config",),
    "ServiceAccount": ("airflow", "fieldpipe", "fieldpipe-worker", "minio"),
}
PORTS = {"airflow-api-server": 8080, "minio": 9000, "minio-console": 9001, "webhook-receiver": 5000}
SCHEDULES = {"generator": "*/1 * * * *", "event-sync": "*/5 * * * *"}


def everything_is_in(namespace: str) -> Rule:
    """The rule that all objects are in the overlay's namespace, and that it asks for restricted pods."""

    def rule(manifests: Manifests) -> Iterator[Fault]:
        for each in manifests.objects:
            if each.kind in CLUSTER_WIDE or each.kind.startswith("Cluster"):
                continue
            if each.metadata.get("namespace") != namespace:
                yield fault(each, f"is in namespace {each.metadata.get('namespace')}, not in {namespace}")
        for each in manifests.objects:
            if each.kind.startswith("Cluster"):
                yield fault(each, "is no part of a namespace: others on the cluster would be touched")
        found = manifests.get("Namespace", namespace)
        if found is None:
            yield Fault(f"Namespace {namespace}", "is not there")
        elif found.labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield fault(found, "needs the label pod-security.kubernetes.io/enforce: restricted")

    return rule


def names_are_unique(manifests: Manifests) -> Iterator[Fault]:
    """No two objects of a kind have one name: the second would overwrite the first."""
    seen: set[str] = set()
    for each in manifests.objects:
        if str(each) in seen:
            yield fault(each, "is there twice")
        seen.add(str(each))


def promised_names_exist(manifests: Manifests) -> Iterator[Fault]:
    """What documents tell people to type works: names, ports, schedules."""
    for kind, names in PROMISED.items():
        for name in names:
            if manifests.get(kind, name) is None:
                yield Fault(f"{kind} {name}", "is not there, and documents name it")
    for name, port in PORTS.items():
        service = manifests.get("Service", name)
        if service and port not in [each["port"] for each in service.spec.get("ports") or ()]:
            yield fault(service, f"has no port {port}, and documents name it")
    for name, schedule in SCHEDULES.items():
        job = manifests.get("CronJob", name)
        if job and job.spec.get("schedule") != schedule:
            yield fault(job, f"its schedule is {job.spec.get('schedule')}, and documents say {schedule}")


def recordings_are_generated(manifests: Manifests) -> Iterator[Fault]:
    """For development there is a recording every minute."""
    if manifests.get("CronJob", "generator") is None:
        yield Fault("CronJob generator", "is not there, and documents name it")


def nothing_is_for_development_only(manifests: Manifests) -> Iterator[Fault]:
    """No Secret whose value is in the repository."""
    for each in manifests.objects:
        if DEV_ONLY in each.labels or DEV_ONLY in (each.metadata.get("annotations") or {}):
            yield fault(each, f"is marked {DEV_ONLY}: create your own (see the overlay's README)")
    for secret in manifests.of("Secret"):
        yield fault(secret, "its value is in the repository: let the cluster hold it")
