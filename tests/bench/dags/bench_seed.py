"""What the comparison server triggers: the cheapest real DAG there is, so that the comparison is kind to its design."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG(dag_id="bench_seed", schedule=None, catchup=False, doc_md=__doc__) as dag:
    EmptyOperator(task_id="nothing")
