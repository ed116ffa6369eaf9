"""Events: notification -> ledger -> dispatch -> Airflow run; reconcile by listing."""
