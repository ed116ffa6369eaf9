"""What ours is compared with: a Flask receiver of the usual design, which triggers Airflow inside the request.

Written for this comparison. It is given what makes it quick: our number of workers and threads, kept connections to
Airflow, and a token that it already has.

    AIRFLOW_BASE_URL=.. BENCH_TOKEN=.. gunicorn tests.bench.seed_receiver:app
"""

import os
from typing import Any

import httpx
from flask import Flask, request

from tests.bench.airflow import DAG

app = Flask(__name__)
airflow = httpx.Client(
    base_url=os.environ["AIRFLOW_BASE_URL"],
    headers={"Authorization": f"Bearer {os.environ['BENCH_TOKEN']}"},
    timeout=60,
    trust_env=False,
)


@app.get("/health")
def health() -> dict[str, Any]:
    return {"status": "healthy"}


@app.post("/minio-event")
def minio_event() -> dict[str, Any]:
    """One run per record; it answers 200 also when Airflow did not take them, as such receivers do."""
    records = request.get_json()["Records"]
    wanted = [
        r for r in records if r["s3"]["bucket"]["name"] == "raw-data" and r["s3"]["object"]["key"].endswith(".mcap")
    ]
    return {"status": "success", "triggered_dags": [_trigger(record) for record in wanted]}


def _trigger(record: dict[str, Any]) -> dict[str, Any]:
    key = record["s3"]["object"]["key"]
    conf = {"bucket": record["s3"]["bucket"]["name"], "key": key, "event_name": record["eventName"]}
    response = airflow.post(f"/api/v2/dags/{DAG}/dagRuns", json={"logical_date": None, "conf": conf})
    if response.status_code != httpx.codes.OK:
        return {"key": key, "status": "error", "message": response.text}
    return {"key": key, "dag_run_id": response.json()["dag_run_id"], "status": "success"}
