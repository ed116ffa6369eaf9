"""A DAG of unmodified KubernetesPodOperators, one per way in which a pod can go. Run as a program, it runs them all.

The tests copy this file into the DAG folder of a throwaway Airflow home; it prints the state of each task as JSON.
"""

import json
from datetime import datetime, timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG
from kubernetes.client import models as k8s

SLOW = """
import time
for number in range({lines}):
    print("slow line", number)
    time.sleep(0.2)
"""
FEW = SLOW.format(lines=4)  # in less than a second: of a longer one, a logging_interval loses lines, also in Kubernetes
VARIABLES = """
import os
print("variables:", os.environ["GREETING"], os.environ["MINIO_SECRET_KEY"].startswith("s3cr3t"), os.environ["POD"][:9])
"""


def secret(name: str, key: str) -> k8s.V1EnvVarSource:
    return k8s.V1EnvVarSource(secret_key_ref=k8s.V1SecretKeySelector(name=name, key=key))


def field(path: str) -> k8s.V1EnvVarSource:
    return k8s.V1EnvVarSource(field_ref=k8s.V1ObjectFieldSelector(field_path=path))


def pod(task_id: str, program: str, **parameters: object) -> KubernetesPodOperator:
    defaults = {
        "image": "worker",
        "cmds": ["python", "-c"],
        "arguments": [program],
        "log_pod_spec_on_failure": False,
        "termination_message_policy": "FallbackToLogsOnError",
    }
    return KubernetesPodOperator(task_id=task_id, **(defaults | parameters))


with DAG("pods_operator", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    pod("plain", "print('plain line')")
    pod("slow", SLOW.format(lines=10))
    pod(
        "variables",
        VARIABLES,
        env_vars=[
            k8s.V1EnvVar(name="MINIO_SECRET_KEY", value_from=secret("fieldpipe-store", "secret-key")),
            k8s.V1EnvVar(name="POD", value_from=field("metadata.name")),
        ],
        env_from=[k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name="pipeline-config"))],
    )
    pod("exit_65", "raise SystemExit(65)", skip_on_exit_code=65)
    pod("exit_1", "raise SystemExit('the last words')")
    pod("crash", "import os; os.kill(os.getpid(), 9)", skip_on_exit_code=137)
    pod("missing_secret", "", env_vars=[k8s.V1EnvVar(name="X", value_from=secret("nowhere", "x"))])
    pod("sidecar", "", do_xcom_push=True)
    pod("killed", "import time; time.sleep(600)", execution_timeout=timedelta(seconds=6), termination_grace_period=1)
    pod("deferred", FEW, deferrable=True, poll_interval=0.2)
    pod("deferred_logs", FEW, deferrable=True, poll_interval=0.2, logging_interval=1)
    pod("deferred_exit_65", "raise SystemExit(65)", deferrable=True, poll_interval=0.2, skip_on_exit_code=65)


if __name__ == "__main__":
    run = dag.test()
    print("RESULT" + json.dumps({instance.task_id: instance.state for instance in run.get_task_instances()}))
