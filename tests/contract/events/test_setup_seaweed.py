"""A store without bucket notifications is told apart, and left as it is."""

from fieldpipe.events.routes import Route, Routes
from fieldpipe.events.setup import Outcome, ensure_rules
from tests.contract.events.world import OUTPUT


def test_store_without_notifications_is_recognised(store):
    routes = Routes([Route(name="r", bucket="raw-data", patterns=("*",), dag_id="d")], output_bucket=OUTPUT)
    assert ensure_rules(store.client, routes, "arn:minio:sqs::PRIMARY:webhook") == {"raw-data": Outcome.UNSUPPORTED}


def test_missing_bucket_is_not_created_by_looking(store):
    routes = Routes([Route(name="r", bucket="not-there", patterns=("*",), dag_id="d")], output_bucket=OUTPUT)
    assert ensure_rules(store.client, routes, "arn:minio:sqs::PRIMARY:webhook") == {"not-there": Outcome.NO_BUCKET}
    assert not store.client.bucket_exists("not-there")
