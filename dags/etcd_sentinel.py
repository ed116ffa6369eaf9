"""
### Sentinel: is the mirror of etcd right?

Compares the rows of devices and pods in MySQL with etcd, both at one revision. The watcher, which runs all the time,
keeps them; this tells whether it does, and whether somebody changed them by hand.

**Switching it on.** Give `MY_ETCD_HOST` and where the mirror is (`MY_MYSQL_HOST`; see `.env.example`), and let the
watcher run (`scripts/watch_sentinel.py`). Without a host of etcd this DAG has no schedule. `SENTINEL_SCHEDULE` says how
often it runs, `SENTINEL_DRIFT` how many rows may differ.

**What it does.** One pod runs `scripts/audit_sentinel.py`. Its report is an object in `processed-data/sentinel/`, CSV
and JSON: rows that are missing, extra or stale, values that are corrupt; and, as news only, devices that have not been
heard of and pods without a device. A person: press *Trigger*; with *repair* rows that differ are written again, and
compared once more.

**When it fails.** Exit code 65: too many rows differ; the last line of the task's log has the counts and the report's
name. The next run that finds none is green. Exit code 75: etcd, MySQL or the store was away, or the mirror is behind
etcd: look at the watcher. Airflow tries once more. Running it again is always safe.
"""

from airflow.sdk import DAG, Param

from fieldpipe.settings import EtcdSettings, SentinelSettings, read
from fieldpipe.tasks.pod import pod_task

(etcd, sentinel) = read(EtcdSettings, SentinelSettings)

with DAG(
    dag_id="etcd_sentinel",
    doc_md=__doc__,
    description="Devices and pods: compares MySQL with etcd. Off until MY_ETCD_HOST is set.",
    schedule=sentinel.schedule if etcd.host else None,
    catchup=False,
    max_active_runs=1,
    tags=["sentinel"],
    params={"repair": Param(False, type="boolean", title="Repair", description="Write rows that differ again")},
) as dag:
    pod_task(
        "audit_sentinel",
        arguments=["{{ '--repair' if params.repair else '--no-repair' }}"],
        objects=False,
        uses=["etcd", "mysql"],
    )
