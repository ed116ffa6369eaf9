"""Tasks: the only library code that imports Airflow."""
