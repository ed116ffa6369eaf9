"""Answers every reading with the time, as HeartbeatBroker of kraken_broker_python does."""

import json
from datetime import UTC, datetime

from fieldpipe.broker.handlers import Handler, Reading, Reply


class HeartbeatBroker(Handler):
    """Tells the sender that the broker is alive."""

    async def on(self, reading: Reading) -> Reply:
        now = datetime.now(UTC).isoformat()
        payload = {"status": "alive", "timestamp": now, "metadata": dict(reading.metadata)}
        metadata: dict[str, object] = {"response_type": "heartbeat", "source_broker": "HeartbeatBroker"}
        if reading.metadata:
            metadata["request_metadata_keys"] = list(reading.metadata)
        return Reply(json.dumps(payload).encode(), metadata=metadata)
