"""
### Camera backup

Copies the frames of camera topics from Kafka to the bucket of cameras: image and time as separate objects, under the
keys that Kafka Connect's S3 sink would give them, every offset exactly once.

**Switching it on.** Give `KAFKA_BROKERS` and `CAMERA_TOPICS` (see `.env.example`); create the bucket. Without them this
DAG has no schedule and its runs end with a message that says so. `CAMERA_SCHEDULE` says how often it runs,
`CAMERA_PODS` over how many pods the partitions are spread.

**What it does.** Each pod runs `scripts/backup_camera.py` on its share of the partitions: from where the last manifest
in the bucket ended, to the end that the partition has now. Groups and committed offsets in Kafka decide nothing.

**When it fails.** Exit code 65: records were lost to Kafka's retention before we came, or are no messages of
SINETStream; the log and the manifests name them, everything behind them was backed up, and the next run does not fail
for them again. Exit code 75: Kafka or the store was not ready; Airflow tries once more, and the next run goes on.
Clearing a task is safe, and so are two runs at once: what is in a manifest is skipped.
"""

from airflow.sdk import DAG

from fieldpipe.settings import CameraSettings, KafkaSettings, read
from fieldpipe.tasks.pod import pod_task

(kafka, cameras) = read(KafkaSettings, CameraSettings)

with DAG(
    dag_id="camera_backup",
    doc_md=__doc__,
    description="Frames from Kafka to the bucket of cameras. Off until KAFKA_BROKERS and CAMERA_TOPICS are set.",
    schedule=cameras.schedule if kafka.brokers and cameras.topics else None,
    catchup=False,
    max_active_runs=1,
    tags=["cameras"],
) as dag:
    for part in range(1, cameras.pods + 1):
        pod_task(
            "backup_camera",
            task_id=f"backup_camera_{part}",
            arguments=["--share", f"{part}/{cameras.pods}"],
            objects=False,
            uses=["kafka"],
        )
