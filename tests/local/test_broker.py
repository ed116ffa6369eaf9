"""The broker beside the embedded stack, as its demo starts it: a reading in, a message and a row out."""

import csv
import io
import json
from pathlib import Path

import pytest

from fieldpipe.local import broker_demo
from tests.stacks import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.fault]


def test_the_reading_of_the_tutorial_is_a_message_in_slack_and_a_row_of_a_table(
    stack: RunningStack, tmp_path: Path
) -> None:
    file = tmp_path / "demo.json"

    done = stack.run("scripts.demo", "--broker", "--json", str(file))

    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(file.read_text())
    text = 'kind=collector, provider=webhook, payload={"id":"101", "name":"env-sensor", "temp":"25.6", "hum":"52.4"}'
    assert result["message"] == {"channel": "random", "username": "KrakenBroker", "text": text}
    assert text in done.stdout
    (output,) = result["converted"]["outputs"]
    content, _ = stack.trail.store.get(result["converted"]["processed_bucket"], output["key"], limit=10**6)
    (row,) = csv.DictReader(io.StringIO(content.decode()))
    assert (row["collector"], row["device"], row["content_type"]) == ("webhook", "", "application/json")
    payload = {name.removeprefix("payload."): cell for name, cell in row.items() if name.startswith("payload.")}
    assert payload == json.loads(broker_demo.READING)
