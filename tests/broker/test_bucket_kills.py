"""A broker that is killed behind a put: each reading that it acknowledged is in exactly one recording."""

import json
from collections import Counter
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest
from mcap.reader import make_reader

from tests.broker.broker_process import BrokerProcess
from tests.broker.test_broker_kills import Load
from tests.servers import Store
from tests.waiting import eventually

pytestmark = pytest.mark.fault

BUCKET = "raw-data"


def test_readings_that_were_recorded_just_before_the_broker_was_killed_are_not_recorded_again(
    store: Store, tmp_path: Path
) -> None:
    prefix = f"kills-{uuid4().hex[:8]}"
    sink = {"KRAKENB_BUCKET": BUCKET, "KRAKENB_BUCKET_PREFIX": prefix, "KRAKENB_BUCKET_READINGS": "50"}
    broker = BrokerProcess(tmp_path, {**store.environment, **sink, "KRAKENB_BUCKET_SECONDS": "0.1"})
    try:
        broker.start("broker.delivered:1")
        with Load(broker) as load:
            for time in (3, 1):
                eventually(lambda: broker.child.exit_code() is not None, 60)
                broker.start(f"broker.delivered:{time}")
            eventually(lambda: broker.child.exit_code() is not None, 60)
            broker.start()
            load.more(20)
        eventually(lambda: (found := broker.metrics()) and not found['broker_queued{sink="bucket"}'], 60)
    finally:
        broker.child.kill()

    recorded: Counter[str] = Counter()
    for found in store.client.list(BUCKET, f"{prefix}/"):
        content, _ = store.client.get(BUCKET, found.key, limit=1 << 30)
        recorded.update(
            json.loads(message.data)["text"] for _, _, message in make_reader(BytesIO(content)).iter_messages()
        )
    assert set(load.acknowledged) - recorded.keys() == set()
    assert [number for number, times in recorded.items() if times > 1] == []
