"""Answers every reading with one byte, as SimpleBroker of kraken_broker_python does."""

import json

from fieldpipe.broker.handlers import Handler, Reading, Reply


class SimpleBroker(Handler):
    """BraveJIG's data are answered with a command, a device of Teltonika that says who it is is let in."""

    async def on(self, reading: Reading) -> Reply:
        kind, payload = "simple", b"\x00"
        if reading.metadata.get("bjig") == "data":
            kind = "bjig"
            if reading.collector == "bjig":
                payload = json.dumps({"action": "test", "command": "status"}).encode()
        elif reading.collector == "tcp" and is_imei(reading.payload):
            kind, payload = "tcp", b"\x01"
        passed_on = {key: value for key, value in reading.metadata.items() if key.startswith("x-")}
        metadata = {"response_type": kind, "source_broker": "SimpleBroker", **passed_on}
        return Reply(payload, "text/plain", metadata)


def is_imei(payload: bytes) -> bool:
    """Whether it is two bytes with a length, then so many digits."""
    return len(payload) > 2 and payload[2:].isdigit() and int.from_bytes(payload[:2], "big") == len(payload) - 2
