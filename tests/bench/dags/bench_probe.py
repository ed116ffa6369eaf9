"""Another DAG than ours: one task that does nothing. How soon it starts is what the benchmark asks."""

from airflow.sdk import DAG, task

with DAG(dag_id="bench_probe", schedule=None, catchup=False, doc_md=__doc__) as dag:

    @task
    def nothing() -> None:
        """Only its start counts."""

    nothing()
