"""The pipeline in a cluster, as its user sees it: through kubectl."""

import json
from dataclasses import dataclass
from typing import Any

from tests.broker.collectors import request_v2
from tests.cluster.control_plane import ControlPlane
from tests.waiting import eventually

NAMESPACE = "data-pipeline-dev"
WORKLOADS = "deployments,statefulsets"

LISTING = """
from fieldpipe.settings import StoreSettings, read
from fieldpipe.store import ObjectStore
store = ObjectStore.connect(*read(StoreSettings))
print(*(found.key for found in store.list("{bucket}")), sep="\\n")
"""


SENTINEL = "deployment/sentinel"
ROWS = """
from sqlalchemy import select
from fieldpipe.sentinel.schema import connect
from fieldpipe.sentinel.tables import device
from fieldpipe.settings import MysqlSettings, SentinelSettings, read
with connect(*read(SentinelSettings, MysqlSettings)).connect() as connection:
    for row in connection.execute(select(device.c.deviceName, device.c.os)):
        print(*row)
"""

COLLECTOR = """
import grpc
with grpc.insecure_channel("broker.{namespace}:50051") as channel:
    send = channel.unary_unary("/kraken.KrakenService/ProcessKrakenRequest")
    send(bytes.fromhex("{request}"), timeout=30, wait_for_ready=True)
"""


@dataclass(frozen=True)
class Pipeline:
    """The applied pipeline."""

    plane: ControlPlane

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        """kubectl in the pipeline's namespace."""
        return self.plane.kubectl("-n", NAMESPACE, *arguments, check=check)

    def objects(self, kinds: str) -> list[dict[str, Any]]:
        """Objects of the namespace."""
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", kinds, "-o", "json"))["items"]
        return items

    def unready(self) -> list[str]:
        """What is not as it should be: workloads that do not have all their pods, new and ready."""
        return [f"{each['kind']}/{each['metadata']['name']}" for each in self.objects(WORKLOADS) if not _settled(each)]

    def await_ready(self, seconds: float) -> None:
        """Return when every workload is up."""
        eventually(lambda: not self.unready(), seconds, self.describe)

    def python(self, program: str, workload: str = "deployment/dispatcher") -> str:
        """Run a program in a pod of a workload."""
        return self.kubectl("exec", workload, "--", "python", "-c", program)

    def put_recording(self, name: str) -> None:
        """Have the generator upload a recording now, as a user would: a Job made from its CronJob."""
        self.kubectl("create", "job", name, "--from=cronjob/generator")

    def ledger(self, *arguments: str) -> str:
        """`scripts.ledger`, where it can be run."""
        return self.kubectl("exec", "deployment/dispatcher", "--", "python", "-m", "scripts.ledger", *arguments)

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> None:
        """Have a DAG run, as the button in the Airflow UI does."""
        run = ("airflow", "dags", "trigger", dag_id, "--conf", json.dumps(conf))
        self.kubectl("exec", "deployment/airflow-api-server", "-c", "api-server", "--", *run)

    def keys(self, bucket: str) -> list[str]:
        """The keys of a bucket, as a pod that may read the store lists them."""
        return self.python(LISTING.format(bucket=bucket)).splitlines()

    def tables(self) -> set[str]:
        """The keys of all tables of recordings."""
        others = ("frames/", "sentinel/")
        return {key for key in self.keys("processed-data") if key.endswith(".csv") and not key.startswith(others)}

    def frame_tables(self) -> set[str]:
        """The keys of everything that was made of frames."""
        return {key for key in self.keys("processed-data") if key.startswith("frames/")}

    def frames(self, suffix: str) -> set[str]:
        """What is left of the keys of a camera's objects with this ending: images, or times."""
        return {key.removesuffix(suffix) for key in self.keys("picamera") if key.endswith(suffix)}

    def audits(self) -> set[str]:
        """The keys of the audit's reports."""
        return {key for key in self.keys("processed-data") if key.startswith("sentinel/")}

    def send_reading(self, image: str) -> None:
        """Send a reading of the topic `kitchen` to the broker, as one does that is none of the pipeline's pods."""
        request = request_v2("mqtt", "application/json", '{"topic": "kitchen"}', b'{"temp": 25.6}').hex()
        program = COLLECTOR.format(namespace=NAMESPACE, request=request)
        run = ("run", "collector", f"--image={image}", "--restart=Never", "--command", "--", "python", "-c", program)
        self.plane.kubectl("-n", "default", *run)
        done = ("--for=jsonpath={.status.phase}=Succeeded", "pod/collector", "--timeout=120s")
        self.plane.kubectl("-n", "default", "wait", *done)

    def put_device(self, name: str, os: str) -> None:
        """Describe a device in etcd, as a user would."""
        put = ("put", name, "deviceIp=10.0.0.1", f"os={os}")
        self.kubectl("exec", SENTINEL, "--", "python", "-m", "scripts.sentinel", *put)

    def rows(self) -> set[tuple[str, str]]:
        """The mirror's devices and what they run on, as the watcher's account reads them."""
        lines = self.python(ROWS, SENTINEL).splitlines()
        return {(name, os) for name, os in (line.split(" ") for line in lines)}

    def describe(self) -> str:
        """Pods and what went wrong, for an error message."""
        events = self.kubectl("get", "events", "--field-selector=type=Warning", check=False)
        return self.kubectl("get", "pods", check=False) + events[-6000:]


def _settled(workload: dict[str, Any]) -> bool:
    wanted, status = workload["spec"]["replicas"], workload["status"]
    return (
        status.get("observedGeneration") == workload["metadata"]["generation"]
        and status.get("readyReplicas", 0) == wanted
        and status.get("updatedReplicas", 0) == wanted
        and status.get("replicas") == wanted
    )
