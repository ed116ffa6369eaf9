"""For every rule, what is broken in overlays/dev or overlays/cameras, and what the rule says then."""

from typing import Any

from fieldpipe.deploy import rules
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

GONE: Any = object()
TEMPLATE = "spec.template.spec"
CONTAINER = f"{TEMPLATE}.containers.0"
NAMESPACE = "data-pipeline-dev"

# The rule; an object, a path in it and the new value; how the fault begins.
BROKEN = [
    (
        security.pods_are_restricted,
        ("Deployment/dispatcher", f"{CONTAINER}.securityContext.readOnlyRootFilesystem", False),
        "Deployment dispatcher, container dispatcher: needs readOnlyRootFilesystem: true",
    ),
    (
        security.pods_are_restricted,
        ("Job/ledger-migrate", f"{TEMPLATE}.initContainers.0.securityContext.capabilities", GONE),
        "Job ledger-migrate, container database: needs capabilities: drop [ALL]",
    ),
    (
        security.pods_are_restricted,
        ("Deployment/minio", f"{TEMPLATE}.securityContext.seccompProfile", GONE),
        "Deployment minio, container minio: needs seccompProfile RuntimeDefault",
    ),
    (
        security.pods_are_restricted,
        ("StatefulSet/airflow-redis", f"{TEMPLATE}.securityContext.runAsUser", 0),
        "StatefulSet airflow-redis, container redis: needs runAsUser, not 0",
    ),
    (
        security.pods_are_restricted,
        ("Deployment/dispatcher", f"{TEMPLATE}.volumes", [{"name": "tmp", "hostPath": {"path": "/"}}]),
        "Deployment dispatcher: volume tmp is a hostPath",
    ),
    (
        security.resources_are_bounded,
        ("CronJob/generator", f"spec.jobTemplate.{CONTAINER}.resources.limits", GONE),
        "CronJob generator, container generator: has no limits.memory",
    ),
    (
        security.tokens_are_for_airflow_only,
        ("Deployment/dispatcher", f"{TEMPLATE}.automountServiceAccountToken", GONE),
        "Deployment dispatcher: needs automountServiceAccountToken: false (account fieldpipe)",
    ),
    (
        security.secrets_are_in_secrets,
        ("ConfigMap/pipeline-config", "data.AIRFLOW_PASSWORD", "admin"),
        "ConfigMap pipeline-config: AIRFLOW_PASSWORD looks like a secret: move it into a Secret",
    ),
    (
        security.secrets_are_in_secrets,
        ("Deployment/dispatcher", f"{CONTAINER}.env.0", {"name": "MINIO_ACCESS_KEY", "value": "admin"}),
        "Deployment dispatcher, container dispatcher: MINIO_ACCESS_KEY is a plain value: take it from a Secret",
    ),
    (
        security.secrets_are_in_secrets,
        ("Deployment/dispatcher", f"{CONTAINER}.args", ["--ledger", "postgresql://fieldpipe:pass@host/ledger"]),
        "Deployment dispatcher, container dispatcher: has a password on its command line",
    ),
    (
        security.health_is_asked,
        ("Deployment/webhook-receiver", f"{CONTAINER}.readinessProbe", GONE),
        "Deployment webhook-receiver, container webhook: has no readinessProbe, and a Service leads to it",
    ),
    (
        security.health_is_asked,
        ("Deployment/dispatcher", f"{CONTAINER}.livenessProbe", GONE),
        "Deployment dispatcher, container dispatcher: has no livenessProbe",
    ),
    (
        security.images_are_known(rules.IMAGES),
        ("Deployment/minio", f"{CONTAINER}.image", "quay.io/minio/minio"),
        "Deployment minio, container minio: image 'quay.io/minio/minio' needs a tag of a version, or a digest",
    ),
    (
        security.images_are_known(["fieldpipe-worker"]),
        ("CronJob/generator", f"spec.jobTemplate.{CONTAINER}.image", "docker.io/alpine:3"),
        "CronJob generator, container generator: image 'docker.io/alpine:3' is none of fieldpipe-worker",
    ),
    (
        security.images_are_known(rules.IMAGES),
        ("ConfigMap/pipeline-config", "data.FIELDPIPE_POD_IMAGE", GONE),
        "ConfigMap pipeline-config: FIELDPIPE_POD_IMAGE: image '' is none of fieldpipe-airflow",
    ),
    (
        references.needs_exist({}),
        ("Secret/fieldpipe-store", "data", {"access-key": "YWRtaW4="}),
        "Secret fieldpipe-store, key secret-key: is not there, and is named by Deployment",
    ),
    (
        references.needs_exist({}),
        ("ServiceAccount/fieldpipe", "metadata.name", "others"),
        "ServiceAccount fieldpipe: is not there, and is named by Deployment dispatcher, Deployment sentinel",
    ),
    (
        references.needs_exist({}),
        ("ConfigMap/pipeline-config", "metadata.name", "others"),
        "ConfigMap pipeline-config: is not there, and is named by CronJob event-sync, CronJob generator",
    ),
    (
        references.needs_exist({}),
        ("PersistentVolumeClaim/minio", "metadata.name", "others"),
        "PersistentVolumeClaim minio: is not there, and is named by Deployment minio",
    ),
    (
        references.volumes_are_declared,
        ("Deployment/dispatcher", f"{TEMPLATE}.volumes", GONE),
        "Deployment dispatcher, container dispatcher: mounts volume tmp, which the pod has not",
    ),
    (
        references.services_lead_to_pods,
        ("Service/webhook-receiver", "spec.selector", {"app": "webhook"}),
        "Service webhook-receiver: selects no pods ({'app': 'webhook'})",
    ),
    (
        references.services_lead_to_pods,
        ("Service/webhook-receiver", "spec.ports.0.targetPort", "https"),
        "Service webhook-receiver: leads to port https, which Deployment webhook-receiver does not have",
    ),
    (
        references.ingresses_lead_to_services,
        ("Ingress/airflow", "spec.rules.0.http.paths.0.backend.service.port.number", 80),
        "Ingress airflow: leads to Service airflow-api-server, port 80, which is not there",
    ),
    (
        references.urls_lead_to_services,
        ("ConfigMap/pipeline-config", "data.MINIO_ENDPOINT", "http://minio:9001"),
        "CronJob generator, container generator: MINIO_ENDPOINT leads to minio:9001, which is no Service here",
    ),
    (
        references.roles_are_bound,
        ("RoleBinding/airflow-pod-launcher-rolebinding", "subjects.0.name", "others"),
        "RoleBinding airflow-pod-launcher-rolebinding: names ServiceAccount others, which is not there",
    ),
    (
        references.probes_ask_known_ports,
        ("Deployment/webhook-receiver", f"{CONTAINER}.livenessProbe.httpGet.port", 5001),
        "Deployment webhook-receiver, container webhook: the livenessProbe asks port 5001, which is not listed",
    ),
    (
        selection.workloads_select_their_own_pods,
        ("Deployment/dispatcher", "spec.template.metadata.labels", {"app": "dispatch"}),
        "Deployment dispatcher: its selector {'matchLabels': {'app.kubernetes.io/name': 'dispatcher'}} does not match "
        "its pods' labels {'app': 'dispatch'}",
    ),
    (
        selection.workloads_select_their_own_pods,
        ("Deployment/dispatcher", "spec.selector.matchLabels", {"app.kubernetes.io/part-of": "fieldpipe"}),
        "Deployment dispatcher: its selector also matches the pods of Deployment webhook-receiver",
    ),
    (
        selection.budgets_can_be_kept,
        ("PodDisruptionBudget/webhook-receiver", "spec.maxUnavailable", 0),
        "PodDisruptionBudget webhook-receiver: lets none of the 2 pods of Deployment webhook-receiver go: "
        "a node could not be drained",
    ),
    (
        selection.budgets_can_be_kept,
        ("PodDisruptionBudget/webhook-receiver", "spec.selector.matchLabels", {"app": "webhook"}),
        "PodDisruptionBudget webhook-receiver: selects no pods",
    ),
    (
        selection.stateful_sets_have_their_service,
        ("StatefulSet/airflow-redis", "spec.serviceName", "redis"),
        "StatefulSet airflow-redis: its serviceName redis is not there",
    ),
    (
        network.everything_else_is_denied,
        ("NetworkPolicy/default-deny", "spec.policyTypes", ["Ingress"]),
        "NetworkPolicy: no policy denies all pods of the namespace both directions",
    ),
    (
        network.policies_find_pods,
        ("NetworkPolicy/to-webhook", "spec.egress.0.to.0.podSelector.matchLabels", {"app": "webhook"}),
        "NetworkPolicy to-webhook: admits pods that do not exist: {'matchLabels': {'app': 'webhook'}}",
    ),
    (
        network.policies_find_pods,
        ("NetworkPolicy/webhook-receiver", "spec.ingress.0.ports.0.port", 5001),
        "NetworkPolicy webhook-receiver: admits to port 5001, which its pods do not have",
    ),
    (
        network.urls_are_admitted,
        ("CronJob/generator", "spec.jobTemplate.spec.template.metadata.labels.fieldpipe/uses-store", GONE),
        "CronJob generator: MINIO_ENDPOINT leads to minio:9000, but no NetworkPolicy lets CronJob generator out to "
        "Deployment minio",
    ),
    (
        network.urls_are_admitted,
        ("NetworkPolicy/webhook-receiver", "spec.ingress", GONE),
        "Deployment minio: MINIO_NOTIFY_WEBHOOK_ENDPOINT_PRIMARY leads to webhook-receiver:5000, but no NetworkPolicy "
        "lets Deployment minio in to Deployment webhook-receiver",
    ),
    (
        settings.settings_are_supplied,
        ("Deployment/webhook-receiver", f"{CONTAINER}.env", []),
        "Deployment webhook-receiver, container webhook: webhook.wsgi:app needs FIELDPIPE_LEDGER_URL (LedgerSettings)",
    ),
    (
        settings.settings_are_supplied,
        ("ConfigMap/pipeline-config", "data.MINIO_ENDPOINT", GONE),
        "CronJob event-sync, container event-sync: scripts.sync_events needs MINIO_ENDPOINT (StoreSettings)",
    ),
    (
        settings.variables_are_known,
        ("ConfigMap/pipeline-config", "data.MINIO_ENDPOINTS", "http://minio:9000"),
        "ConfigMap pipeline-config: MINIO_ENDPOINTS is no setting of plugins/fieldpipe/settings.py",
    ),
    (
        settings.variables_are_known,
        ("Deployment/minio", f"{CONTAINER}.env.0.name", "MINIO_ROOT_USR"),
        "Deployment minio, container minio: nobody reads MINIO_ROOT_USR",
    ),
    (
        settings.values_are_texts,
        ("StatefulSet/airflow-redis", "spec.template.metadata.labels.tier", True),
        "StatefulSet airflow-redis: the pods' labels: tier is True, not a text: quote it",
    ),
    (
        settings.both_say_the_same,
        ("ConfigMap/pipeline-config", "data.MINIO_REGION", "eu-west-1"),
        "ConfigMap pipeline-config: differs from pipeline-settings-",
    ),
    (
        placing.names_are_unique,
        ("Service/minio-console", "metadata.name", "minio"),
        "Service minio: is there twice",
    ),
    (
        placing.promised_names_exist,
        ("CronJob/generator", "spec.schedule", "* * * * *"),
        "CronJob generator: its schedule is * * * * *, and documents say */1 * * * *",
    ),
    (
        placing.promised_names_exist,
        ("Deployment/dispatcher", "metadata.name", "dispatch"),
        "Deployment dispatcher: is not there, and documents name it",
    ),
    (
        placing.everything_is_in(NAMESPACE),
        ("Service/minio", "metadata.namespace", "default"),
        "Service minio: is in namespace default, not in data-pipeline-dev",
    ),
    (
        placing.everything_is_in(NAMESPACE),
        (f"Namespace/{NAMESPACE}", "metadata.labels", {}),
        "Namespace data-pipeline-dev: needs the label pod-security.kubernetes.io/enforce: restricted",
    ),
    (
        placing.nothing_is_for_development_only,
        ("Service/minio", "metadata.labels.fieldpipe/dev-only", "true"),
        "Service minio: is marked fieldpipe/dev-only: create your own (see the overlay's README)",
    ),
    (
        placing.recordings_are_generated,
        ("CronJob/generator", "metadata.name", "robot"),
        "CronJob generator: is not there, and documents name it",
    ),
    (
        changes.jobs_can_be_applied_again,
        ("Job/minio-event-setup", "spec.ttlSecondsAfterFinished", GONE),
        "Job minio-event-setup: has no ttlSecondsAfterFinished: it would stay, and a new version could not replace it",
    ),
    (
        changes.jobs_can_be_applied_again,
        ("Job/minio-event-setup", f"{CONTAINER}.envFrom.0.configMapRef.name", "pipeline-settings-8h2m5dk9bt"),
        "Job minio-event-setup: names ConfigMap pipeline-settings-8h2m5dk9bt: with other settings the Job could not be "
        "applied any more",
    ),
    (
        cameras.cameras_are_whole,
        ("ConfigMap/pipeline-config", "data.KAFKA_BROKERS", "kafka:9092"),
        "ConfigMap pipeline-config: has cameras on, and no pod is let out to Kafka: take components/cameras",
    ),
    (
        sentinel.sentinel_is_whole,
        ("Deployment/sentinel", "metadata.name", "watcher"),
        "ConfigMap pipeline-config: has the sentinel on, and nobody follows etcd: take components/sentinel",
    ),
    (
        sentinel.sentinel_is_whole,
        ("ConfigMap/pipeline-config", "data.MY_MYSQL_HOST", GONE),
        "ConfigMap pipeline-config: MY_MYSQL_HOST is not set, and the sentinel is on: the overlay's config.env",
    ),
    (
        sentinel.sentinel_is_whole,
        ("ConfigMap/pipeline-config", "data.MY_ETCD_HOST", "etcd.example.com"),
        "ConfigMap pipeline-config: MY_ETCD_HOST is etcd.example.com, which stands for yours",
    ),
    (
        sentinel.sentinel_is_whole,
        ("ConfigMap/pipeline-config", "data.MY_ETCD_HOST", "etcd:2379"),
        "ConfigMap pipeline-config: MY_ETCD_HOST is etcd:2379, not the name of a host: its port has a variable",
    ),
    (
        network.urls_are_admitted,
        ("Deployment/sentinel", "spec.template.metadata.labels.fieldpipe/uses-mysql", GONE),
        "Deployment sentinel: MY_MYSQL_HOST leads to mysql:3306, but no NetworkPolicy lets Deployment sentinel out to "
        "StatefulSet mysql",
    ),
    (
        references.needs_exist({}),
        ("Secret/fieldpipe-mysql", "data", {"user": "c2VudGluZWw="}),
        "Secret fieldpipe-mysql, key password: is not there, and is named by Deployment sentinel, StatefulSet mysql",
    ),
]

WITH_CAMERAS = [
    (
        references.urls_lead_to_services,
        ("Service/kafka", "spec.ports.0.port", 9093),
        "Deployment camera, container camera: SS_BROKERS leads to kafka:9092, which is no Service here",
    ),
    (
        network.urls_are_admitted,
        ("Deployment/camera", "spec.template.metadata.labels.fieldpipe/uses-kafka", GONE),
        "Deployment camera: SS_BROKERS leads to kafka:9092, but no NetworkPolicy lets Deployment camera out to "
        "StatefulSet kafka",
    ),
    (
        settings.variables_are_known,
        ("Deployment/camera", f"{CONTAINER}.env.0.name", "BROKERS"),
        "Deployment camera, container camera: nobody reads BROKERS",
    ),
    (
        cameras.cameras_are_whole,
        ("ConfigMap/pipeline-config", "data.CAMERA_TOPICS", GONE),
        "ConfigMap pipeline-config: CAMERA_TOPICS is not set, and cameras are on: the overlay's config.env",
    ),
    (
        cameras.cameras_are_whole,
        ("ConfigMap/pipeline-config", "data.KAFKA_BROKERS", "kafka.example.com:9092"),
        "ConfigMap pipeline-config: KAFKA_BROKERS is kafka.example.com:9092, which stands for yours",
    ),
    (
        cameras.cameras_are_whole,
        ("ConfigMap/pipeline-config", "data.KAFKA_BROKERS", "kafka"),
        "ConfigMap pipeline-config: KAFKA_BROKERS is kafka, not host:port, separated by commas",
    ),
    (
        network.policies_find_pods,
        ("NetworkPolicy/to-kafka", "spec.egress.0.to.0.podSelector.matchLabels", {"app": "kafka"}),
        "NetworkPolicy to-kafka: admits pods that do not exist: {'matchLabels': {'app': 'kafka'}}",
    ),
    (
        security.images_are_known(rules.IMAGES),
        ("StatefulSet/kafka", f"{CONTAINER}.image", "docker.io/apache/kafka"),
        "StatefulSet kafka, container kafka: image 'docker.io/apache/kafka' needs a tag of a version, or a digest",
    ),
]
