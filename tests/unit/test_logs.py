"""What a line of a log holds."""

import json
import subprocess
import sys

PROGRAM = """
import logging, threading
from fieldpipe import logs
logs.configure("tester")
log = logs.get("here")
def work():
    log.info("converted", key="a\\nb", rows=3)
    logging.getLogger("library").warning("careful: %s", "x")
    logging.getLogger("httpx").info("HTTP Request: GET ...")
    try:
        secret = "hush"
        raise KeyError("k")
    except KeyError:
        log.exception("failed")
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""

AT_LENGTH = """
import logging
from fieldpipe import logs
logs.configure("tester", level=logging.DEBUG)
logs.get("here").debug("ours")
for name in ("pymongo.command", "urllib3.connectionpool"):
    logging.getLogger(name).debug("a payload, or an address with a secret in it")
"""


def test_every_line_of_every_thread_is_json_and_names_its_process():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    told = [(line["process"], line["level"], line["event"]) for line in lines]
    assert told == [
        ("tester", "info", "converted"),
        ("tester", "warning", "careful: x"),
        ("tester", "error", "failed"),
    ]
    assert (lines[0]["key"], lines[0]["rows"]) == ("a\nb", 3)
    assert "KeyError: 'k'" in lines[2]["exception"]
    assert "hush" not in ended.stderr


def test_what_libraries_say_at_length_is_left_out():
    ended = subprocess.run([sys.executable, "-c", AT_LENGTH], capture_output=True, text=True, check=True)

    assert [json.loads(line)["event"] for line in ended.stderr.splitlines()] == ["ours"]
