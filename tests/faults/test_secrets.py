"""F-S5: a process that cannot do its work says why, and never the secret that was wrong."""

import re
import subprocess

import pytest

from fieldpipe.errors import EXIT_PERMANENT, EXIT_TRANSIENT
from fieldpipe.handover import RUN_VARIABLE, TRY_VARIABLE, WORK_VARIABLE, WorkItem, encode_work
from fieldpipe.local.process import base_environment
from tests.builders import small_recording
from tests.contract.events.world import run_module
from tests.faults.harness import RAW
from tests.faults.plane import SECONDS, Plane
from tests.waiting import eventually

pytestmark = pytest.mark.fault

CANARY = "canary-5f0c1e"
NOBODY = f"postgresql+psycopg2://fieldpipe:{CANARY}@127.0.0.1:9/ledger"
ODD_URLS = (
    f"mysql://fieldpipe:{CANARY}@127.0.0.1/ledger",
    f"postgresql+psycopg2://fieldpipe:{CANARY}@127.0.0.1:port/ledger",
    f"postgresql+psycopg2://fieldpipe:a@{CANARY}@127.0.0.1/ledger",  # an @ that is not encoded
)
COMMANDS = {
    "scripts.ledger": ["stats"],
    "scripts.dispatch_events": [],
    "scripts.sync_events": [],
    "scripts.setup_events": [],
    "scripts.convert_recording": ["--batch"],
    "scripts.generate_recording": ["--upload", "--seconds", "0.1"],
    "gunicorn": ["-c", "webhook/gunicorn.conf.py", "webhook.wsgi:app"],
}
WRONG_URL = ("scripts.ledger", "scripts.dispatch_events", "scripts.sync_events", "gunicorn")
WRONG_KEY = ("scripts.sync_events", "scripts.setup_events", "scripts.convert_recording", "scripts.generate_recording")
INCOMPLETE = {"MINIO_SECRET_KEY": CANARY, "WEBHOOK_AUTH_TOKEN": CANARY, "AIRFLOW_PASSWORD": CANARY}

Variables = dict[str, str]


def failures() -> list[tuple[str, Variables]]:
    """Commands that cannot do their work, each with the variables that make it so."""
    return [
        *((command, {"FIELDPIPE_LEDGER_URL": url}) for command in WRONG_URL for url in ODD_URLS),
        *((command, {"FIELDPIPE_LEDGER_URL": NOBODY}) for command in ("scripts.ledger", "scripts.sync_events")),
        *((command, {"MINIO_SECRET_KEY": CANARY}) for command in WRONG_KEY),
        ("scripts.sync_events", {"WEBHOOK_AUTH_TOKEN": CANARY}),
    ]


def clear_words(done: "subprocess.CompletedProcess[str]") -> None:
    """It ended with our exit code and a line for people; no traceback, no secret."""
    said = done.stdout + done.stderr
    assert CANARY not in said
    assert "Traceback" not in said, said
    assert done.returncode in (EXIT_PERMANENT, EXIT_TRANSIENT), said
    assert re.search("^error: |report_failed", said, re.M), said


@pytest.mark.parametrize(("command", "variables"), failures(), ids=lambda each: each if isinstance(each, str) else "")
def test_a_process_with_a_wrong_secret_says_what_is_wrong_and_not_the_secret(
    command: str, variables: Variables, plane: Plane
) -> None:
    put = plane.put("run.mcap", small_recording())
    url = {"WEBHOOK_URL": plane.webhook().url} if "WEBHOOK_AUTH_TOKEN" in variables else {}
    pod = {RUN_VARIABLE: "r", TRY_VARIABLE: "1", WORK_VARIABLE: encode_work([WorkItem(RAW, put.key)])}

    clear_words(run_module(command, *COMMANDS[command], environment=plane.environment | pod | url | variables))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_process_without_its_settings_names_them_and_not_the_secret(command: str, mark: str) -> None:
    clear_words(run_module(command, *COMMANDS[command], environment=base_environment(mark) | INCOMPLETE))


def test_a_dispatcher_with_wrong_passwords_says_so_without_them(plane: Plane) -> None:
    plane.record(plane.put("run.mcap", small_recording()))
    plane.start("dispatcher", "scripts.dispatch_events", AIRFLOW_PASSWORD=CANARY, MINIO_SECRET_KEY=CANARY)

    reason = eventually(plane.ledger.held, SECONDS, plane.logs)

    assert "check AIRFLOW_USER and AIRFLOW_PASSWORD" in reason
    assert CANARY not in reason + (plane.folder / "dispatcher.log").read_text()


def test_a_webhook_whose_database_refuses_it_answers_without_the_password(plane: Plane) -> None:
    webhook = plane.webhook(FIELDPIPE_LEDGER_URL=NOBODY)

    answers = [webhook.post(plane.events(plane.put("run.mcap", small_recording()))), webhook.http.get("/ready")]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert CANARY not in "".join(answer.text for answer in answers) + webhook.log.read_text()
