"""The one way a DAG of ours runs something: a pod that executes one script of ours.

`pod_task` builds Airflow's KubernetesPodOperator with the house's defaults, so that a DAG file is wiring and nothing
else. Results never come back through Airflow (no XCom): pods write manifests and reports, the ledger reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.secret import Secret
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kubernetes.client import models as k8s

from fieldpipe.errors import EXIT_PERMANENT, ConfigurationError, PermanentError
from fieldpipe.handover import RUN_VARIABLE, TRY_VARIABLE, WORK_VARIABLE, WorkItem, encode_work, work_item
from fieldpipe.settings import PodSettings, read

Server = Literal["kafka", "connect", "etcd", "mysql"]

STORE_SECRET = "fieldpipe-store"  # noqa: S105 -- the name of a Secret, not a secret
CONFIG_MAP = "pipeline-config"

# Variables that a pod has when there is such a Secret: (variable, Secret, key).
_CREDENTIALS: dict[Server, tuple[tuple[str, str, str], ...]] = {
    "kafka": (
        ("KAFKA_SASL_USERNAME", "fieldpipe-kafka", "username"),
        ("KAFKA_SASL_PASSWORD", "fieldpipe-kafka", "password"),
        ("CAMERA_KEYS", "fieldpipe-camera-keys", "keys"),
        ("CAMERA_PASSWORD", "fieldpipe-camera-keys", "password"),
    ),
    "connect": (),
    "etcd": (
        ("MY_ETCD_USER", "fieldpipe-etcd", "user"),
        ("MY_ETCD_PASSWORD", "fieldpipe-etcd", "password"),
    ),
    "mysql": (
        ("MY_MYSQL_USER", "fieldpipe-mysql", "user"),
        ("MY_MYSQL_PASSWORD", "fieldpipe-mysql", "password"),
        ("SENTINEL_URL", "fieldpipe-mysql", "url"),
    ),
}

# Files that a pod has when there is such a Secret: (Secret, folder). Settings name them.
_FILES: dict[Server, tuple[str, str]] = {
    "etcd": ("fieldpipe-etcd-tls", "/etc/fieldpipe/etcd"),
    "mysql": ("fieldpipe-mysql-tls", "/etc/fieldpipe/mysql"),
}

LABELS = {
    "app.kubernetes.io/name": "task",
    "app.kubernetes.io/part-of": "fieldpipe",
    "fieldpipe/uses-store": "true",  # the NetworkPolicies let pods with this label talk to the store
}

# What the Pod Security standard "restricted" asks for. The user is the one of our images.
_POD_SECURITY = k8s.V1PodSecurityContext(
    run_as_non_root=True,
    run_as_user=10001,
    run_as_group=10001,
    fs_group=10001,
    seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
)
_CONTAINER_SECURITY = k8s.V1SecurityContext(
    allow_privilege_escalation=False,
    capabilities=k8s.V1Capabilities(drop=["ALL"]),
    read_only_root_filesystem=True,
)


class PodTask(KubernetesPodOperator):
    """A KubernetesPodOperator that takes exit code 65 for what it says: a retry would fail again."""

    def cleanup(
        self,
        pod: k8s.V1Pod,
        remote_pod: k8s.V1Pod,
        xcom_result: dict[str, Any] | None = None,
        context: Any = None,
    ) -> None:
        try:
            super().cleanup(pod=pod, remote_pod=remote_pod, xcom_result=xcom_result, context=context)
        except AirflowFailException:
            raise
        except AirflowException as error:
            if _exit_code(remote_pod, self.base_container_name) == EXIT_PERMANENT:
                raise AirflowFailException(f"{error}\n(exit code {EXIT_PERMANENT}: not retried)") from error
            raise


def pod_task(
    script: str,
    *,
    arguments: Sequence[str] = (),
    task_id: str | None = None,
    objects: bool = True,
    uses: Sequence[Server] = (),
    **overrides: Any,
) -> PodTask:
    """A task that runs `python -m scripts.<script> <arguments>` in a pod of the worker image.

    With `objects` the pod gets the run's object list in the environment (the DAG needs `user_defined_macros=MACROS`).
    Where the store is comes from the ConfigMap, credentials come by reference to the Secret. `uses` names the servers
    beside the store that the pod talks to. `overrides` are the operator's own parameters.
    """
    (settings,) = read(PodSettings)
    with_files = [server for server in uses if server in _FILES]
    parameters: dict[str, Any] = {
        "task_id": task_id or script,
        "name": script.replace("_", "-"),
        "namespace": settings.namespace,
        "image": settings.image,
        "image_pull_policy": "IfNotPresent",
        "labels": LABELS | {f"fieldpipe/uses-{server}": "true" for server in uses},
        "cmds": ["python", "-m", f"scripts.{script}"],
        "arguments": list(arguments),
        "env_vars": [
            k8s.V1EnvVar(name=RUN_VARIABLE, value="{{ run_id }}"),
            k8s.V1EnvVar(name=TRY_VARIABLE, value="{{ ti.try_number }}"),
            *([k8s.V1EnvVar(name=WORK_VARIABLE, value="{{ work(dag_run.conf, params) }}")] if objects else ()),
            *(variable for server in uses for variable in _credentials(server)),
        ],
        "env_from": [k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name=CONFIG_MAP))],
        "secrets": [
            Secret("env", "MINIO_ACCESS_KEY", STORE_SECRET, "access-key"),
            Secret("env", "MINIO_SECRET_KEY", STORE_SECRET, "secret-key"),
        ],
        "retries": 1,
        "retry_delay": timedelta(seconds=5),
        "startup_timeout_seconds": 300,
        "startup_check_interval_seconds": 1,
        "on_finish_action": "delete_pod",
        "log_pod_spec_on_failure": False,
        "log_events_on_failure": True,
        "termination_message_policy": "FallbackToLogsOnError",
        "service_account_name": settings.service_account,
        "automount_service_account_token": False,
        "security_context": _POD_SECURITY,
        "container_security_context": _CONTAINER_SECURITY,
        "container_resources": _resources(settings),
        "volumes": [_scratch(settings), *map(_files, with_files)],
        "volume_mounts": [
            k8s.V1VolumeMount(name="tmp", mount_path="/tmp"),  # noqa: S108 -- the pod's own
            *map(_mount, with_files),
        ],
        "do_xcom_push": False,
    }
    return PodTask(**(parameters | overrides))


def work(conf: Mapping[str, Any] | None, params: Mapping[str, Any]) -> str:
    """A run's objects as the pod reads them: the dispatcher's list, or the bucket and key that a person typed."""
    try:
        return encode_work(_items(conf or {}, params))
    except (PermanentError, TypeError) as error:
        raise AirflowFailException(f"this run's conf is not one of ours: {error}") from error


MACROS = {"work": work}
"""What a DAG with `pod_task` passes as `user_defined_macros`."""


def _credentials(server: Server) -> list[k8s.V1EnvVar]:
    return [
        k8s.V1EnvVar(
            name=variable,
            value_from=k8s.V1EnvVarSource(secret_key_ref=k8s.V1SecretKeySelector(name=secret, key=key, optional=True)),
        )
        for variable, secret, key in _CREDENTIALS[server]
    ]


def _files(server: Server) -> k8s.V1Volume:
    return k8s.V1Volume(name=server, secret=k8s.V1SecretVolumeSource(secret_name=_FILES[server][0], optional=True))


def _mount(server: Server) -> k8s.V1VolumeMount:
    return k8s.V1VolumeMount(name=server, mount_path=_FILES[server][1], read_only=True)


def _resources(settings: PodSettings) -> k8s.V1ResourceRequirements:
    """All the memory a pod may take is reserved: on a full node it is not the one that is killed."""
    return k8s.V1ResourceRequirements(
        requests={"cpu": settings.cpu, "memory": settings.memory}, limits={"memory": settings.memory}
    )


def _scratch(settings: PodSettings) -> k8s.V1Volume:
    """The only place where a pod can write."""
    return k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource(size_limit=settings.scratch))


def _items(conf: Mapping[str, Any], params: Mapping[str, Any]) -> list[WorkItem]:
    if "objects" in conf:
        return [work_item(value) for value in conf["objects"]]
    if not params.get("key"):
        raise ConfigurationError("neither objects nor a key; give the bucket and the key of the object to process")
    return [WorkItem(bucket=params["bucket"], key=params["key"])]


def _exit_code(pod: k8s.V1Pod | None, container: str) -> int | None:
    statuses = (pod.status.container_statuses if pod and pod.status else None) or []
    ended = next((s.state.terminated for s in statuses if s.name == container and s.state), None)
    return ended.exit_code if ended else None
