"""
### Frames by the hour

Makes one table and one contact sheet per topic and hour, of the parts that `frames_to_csv` has made and of frames that
Kafka Connect wrote: `processed-data/frames/<topic>/year=.../month=.../day=.../hour=.../latest.json` names the newest.

**How to switch it on.** Set `KAFKA_BROKERS` and `CAMERA_TOPICS`: then it runs ten minutes after every hour. Without
them it has no schedule. A person: press *Trigger*; with *now* also hours are closed that are not over, as they are.

**What it does.** One pod runs `scripts/close_frame_hours.py`. An hour is closed once it has been over for ten minutes.
If a part comes later, it is closed again beside the first table, and `latest.json` names the new one.

**When it fails.** Exit code 65: an hour cannot be closed, the task's log says why; the other hours are. Exit code 75:
the world was not ready; what was not done is done by the next run. Running it again is always safe.
"""

from airflow.sdk import DAG, Param

from fieldpipe.settings import CameraSettings, KafkaSettings, read
from fieldpipe.tasks.pod import pod_task

(kafka, cameras) = read(KafkaSettings, CameraSettings)

with DAG(
    dag_id="frame_hours",
    doc_md=__doc__,
    schedule="10 * * * *" if kafka.brokers and cameras.topics else None,
    catchup=False,
    max_active_runs=1,
    tags=["cameras"],
    params={"now": Param(False, type="boolean", title="Now", description="Also hours that are not over")},
) as dag:
    pod_task("close_frame_hours", arguments=["{{ '--now' if params.now else '--ended' }}"], objects=False)
