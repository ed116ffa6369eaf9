"""
### Frames to tables

Turns what the camera backup has written into tables: one index part per batch of frames, in
`processed-data/frames/<topic>/year=.../month=.../day=.../hour=.../parts/`. The DAG `frame_hours` makes one table per
hour of them.

**Who starts it.** The dispatcher, for the manifests of `camera_backup` (`_manifests/` in the cameras' bucket): one run
carries up to 100 of them. A person: press *Trigger*, give the bucket and the manifest's key.

**What it does.** One pod runs `scripts/index_frames.py --batch`. It reads every image once, checks it against the
manifest and measures it. What is no picture is a row with a reason. A part is created, never replaced: running it again
changes nothing.

**When it fails.** Exit code 65: an image is missing, or is not the one that the manifest names; the task's log and
`python -m scripts.ledger dead` name it. Exit code 75: the world was not ready, Airflow tries once more and the
dispatcher later again.
"""

from airflow.sdk import DAG, Param

from fieldpipe.events.routes import load_routes
from fieldpipe.settings import BucketSettings, CameraSettings, RouteSettings, read
from fieldpipe.tasks.pod import MACROS, pod_task

(routes, buckets, cameras) = read(RouteSettings, BucketSettings, CameraSettings)
ROUTES = load_routes(routes.file, output_bucket=buckets.processed_bucket)

with DAG(
    dag_id="frames_to_csv",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    tags=["cameras"],
    user_defined_macros=MACROS,
    params={
        "bucket": Param(cameras.bucket, type="string", title="Bucket", description="The bucket of the cameras"),
        "key": Param("", type="string", title="Key", description="The key of a batch's manifest, below _manifests/"),
    },
) as dag:
    pod_task("index_frames", arguments=["--batch"], max_active_tis_per_dag=ROUTES.max_runs("frames"))
