"""What must be true of everything that is sent to a cluster. A rule is a function that yields faults.

`kubectl apply` would say some of it, one object at a time and on a cluster; most of it nobody would say.
"""

from collections.abc import Sequence

from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.rules import (
    cameras,
    changes,
    network,
    placing,
    references,
    security,
    selection,
    sentinel,
    settings,
)
from fieldpipe.deploy.rules.fault import Fault, Rule
from fieldpipe.deploy.rules.references import Existing

IMAGES = (
    "fieldpipe-airflow",
    "fieldpipe-worker",
    "fieldpipe-webhook",
    "fieldpipe-broker",
    "quay.io/minio/minio",
    "docker.io/library/postgres",
    "docker.io/library/redis",
    "docker.io/apache/kafka",
    "kafka-connect",
    "quay.io/coreos/etcd",
    "docker.io/library/mariadb",
)

POD_RULES: tuple[Rule, ...] = (  # of a single pod too
    security.pods_are_restricted,
    security.resources_are_bounded,
    security.tokens_are_for_airflow_only,
    security.secrets_are_in_secrets,
    references.volumes_are_declared,
    settings.settings_are_supplied,
    settings.variables_are_known,
    settings.values_are_texts,
)

ALWAYS: tuple[Rule, ...] = (
    *POD_RULES,
    security.health_is_asked,
    references.services_lead_to_pods,
    references.ingresses_lead_to_services,
    references.urls_lead_to_services,
    references.roles_are_bound,
    references.probes_ask_known_ports,
    selection.workloads_select_their_own_pods,
    selection.budgets_can_be_kept,
    selection.stateful_sets_have_their_service,
    network.everything_else_is_denied,
    network.policies_find_pods,
    network.urls_are_admitted,
    settings.both_say_the_same,
    cameras.cameras_are_whole,
    sentinel.sentinel_is_whole,
    placing.names_are_unique,
    placing.promised_names_exist,
    changes.jobs_can_be_applied_again,
)


def rules(namespace: str, *, existing: Existing, for_development: bool) -> tuple[Rule, ...]:
    """All rules of an overlay. `existing`: Secrets that the cluster holds already."""
    own = (
        placing.everything_is_in(namespace),
        references.needs_exist(existing),
        security.images_are_known(IMAGES),
    )
    last = placing.recordings_are_generated if for_development else placing.nothing_is_for_development_only
    return (*ALWAYS, *own, last)


def broken(rules: Sequence[Rule], manifests: Manifests) -> list[Fault]:
    """The faults that the rules find."""
    return [fault for rule in rules for fault in rule(manifests)]
