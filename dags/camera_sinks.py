"""
### Kafka Connect stores cameras

Registers the sinks of Kafka Connect that store the frames of cameras and their times: `<prefix>-image` and
`<prefix>-timestamp`. From then on Kafka Connect does the work, all the time, without Airflow. For sites with more
frames than `camera_backup` carries; a topic is stored by the one or by the other, not by both.

**Who starts it.** A person: press *Trigger*. `register` looks at everything first (the worker, its plug-ins, the
bucket, the topics), then makes the sinks or brings them up to date; `check` only looks; `status` says how they are;
`restart` starts anew what has failed; `remove` takes the sinks away, and leaves the objects. Empty fields: as the
settings `CAMERA_TOPICS` and `CAMERA_BUCKET` say.

**What it does.** One pod runs `scripts/connect_sinks.py`. Doing it again changes nothing. A connector of the same name
that has other topics or another bucket is somebody else's, and is left as it is.

**When it fails.** Exit code 65: something is wrong, the task's log has a line for each thing. Exit code 75: Kafka
Connect does not answer yet; Airflow tries once more. Exit code 1: `status` found something that does not run.
"""

from airflow.sdk import DAG, Param

from fieldpipe.tasks.pod import pod_task

ACTIONS = ["register", "check", "status", "restart", "remove"]

with DAG(
    dag_id="camera_sinks",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    tags=["cameras"],
    params={
        "action": Param("register", enum=ACTIONS, title="What to do"),
        "prefix": Param("sink-s3-picamera", type="string", title="Prefix", description="Of the two connectors' names"),
        "topics": Param("", type="string", title="Topics", description="Separated by commas"),
        "bucket": Param("", type="string", title="Bucket", description="Exists already"),
        "timestamps": Param(True, type="boolean", title="Times", description="Store them as objects beside the images"),
        "tasks": Param(
            1, type="integer", minimum=1, title="Tasks", description="Of each sink; they share the partitions"
        ),
        "dead_letter_topic": Param(
            "", type="string", title="Dead letter topic", description="For bad messages, which else stop the sinks"
        ),
    },
) as dag:
    pod_task(
        "connect_sinks",
        arguments=[
            "{{ params.action }}",
            "--prefix={{ params.prefix }}",
            "--topics={{ params.topics }}",
            "--bucket={{ params.bucket }}",
            "{{ '--timestamps' if params.timestamps else '--no-timestamps' }}",
            "--tasks={{ params.tasks }}",
            "--dead-letter-topic={{ params.dead_letter_topic }}",
        ],
        objects=False,
        uses=["connect", "kafka"],
        max_active_tis_per_dag=1,
    )
