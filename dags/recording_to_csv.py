"""
### Recordings to CSV

Turns recordings (`.mcap`) of the bucket `raw-data` into one CSV per topic in `processed-data`.

**Who starts it.** The dispatcher, for objects whose events came in: one run carries up to 100 objects. A person: press
*Trigger*, give the bucket and the key; such a run does not touch the ledger.

**What it does.** One pod runs `scripts/convert_recording.py --batch`. Every object gets its own result folder, its own
manifest (the proof that it is complete) and its own report; one bad object does not stop the others.

**When it fails.** Exit code 65: an object cannot be converted, the reason is in the task's log and in
`python -m scripts.ledger dead`; there is no retry. Exit code 75: the world was not ready, Airflow tries once more and
the dispatcher later again. Clearing a task is safe: what is done is skipped.
"""

from airflow.sdk import DAG, Param

from fieldpipe.events.routes import load_routes
from fieldpipe.settings import BucketSettings, RouteSettings, read
from fieldpipe.tasks.pod import MACROS, pod_task

(routes, buckets) = read(RouteSettings, BucketSettings)
ROUTE = load_routes(routes.file, output_bucket=buckets.processed_bucket).by_name["recordings"]

with DAG(
    dag_id="recording_to_csv",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    tags=["recordings"],
    user_defined_macros=MACROS,
    params={
        "bucket": Param("raw-data", type="string", title="Bucket", description="The bucket that holds the recording"),
        "key": Param("", type="string", title="Key", description="The recording's key, such as site1/run7.mcap"),
    },
) as dag:
    pod_task("convert_recording", arguments=["--batch"], max_active_tis_per_dag=ROUTE.max_runs)
