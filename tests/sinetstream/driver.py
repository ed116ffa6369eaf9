"""SINETStream at work for a test: it runs in an environment of its own, takes jobs and gives answers, a line each.

    {"do": "write", "topic": .., "messages": [[payload, microseconds], ..], "parameters": {..}}   -> []
    {"do": "read", "topic": .., "count": .., "parameters": {..}}       -> [[payload, microseconds], ..], oldest first

Payloads and keys are base64. `parameters` are SINETStream's own, as its configuration file has them; those of `crypto`
may name `keys` by version.
"""

import json
import sys
from base64 import b64decode, b64encode
from itertools import islice

from sinetstream import MessageReader, MessageWriter
from sinetstream.api import AT_LEAST_ONCE

SECONDS = 30  # that a reader waits for a message


def main(brokers: str) -> None:
    for line in sys.stdin:
        job = json.loads(line)
        parameters = {"no_config": True, "type": "kafka", "brokers": brokers, "consistency": AT_LEAST_ONCE}
        parameters |= prepared(job["parameters"])
        answer = write(job, parameters) if job["do"] == "write" else read(job, parameters)
        print(json.dumps(answer), flush=True)


def write(job, parameters):
    is_text = parameters.get("value_type") == "text"
    with MessageWriter(topic=job["topic"], **parameters) as writer:
        for payload, microseconds in job["messages"]:
            content = b64decode(payload)
            writer.publish(content.decode() if is_text else content, timestamp=microseconds / 1_000_000)
    return []


def read(job, parameters):
    limits = {"type_spec": {"auto_offset_reset": "earliest"}, "receive_timeout_ms": SECONDS * 1000}
    with MessageReader(topics=job["topic"], **limits, **parameters) as reader:
        found = [(message.value, message.timestamp_us) for message in islice(reader, job["count"])]
    return [[b64encode(v.encode() if isinstance(v, str) else v).decode(), time] for v, time in found]


def prepared(parameters):
    crypto = parameters.get("crypto", {})
    if "keys" in crypto:
        crypto["_keys"] = {int(version): b64decode(key) for version, key in crypto.pop("keys").items()}
    return parameters


if __name__ == "__main__":
    main(sys.argv[1])
