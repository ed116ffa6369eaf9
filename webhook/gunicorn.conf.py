"""gunicorn's configuration: `gunicorn -c webhook/gunicorn.conf.py webhook.wsgi:app`.

Two worker processes and many threads: a thread of ours mostly waits for the commit that it shares with the others.
"""

import os
import shutil
import sys
import tempfile

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

from fieldpipe import logs
from fieldpipe.errors import FieldpipeError
from fieldpipe.events import database
from fieldpipe.settings import LedgerSettings, WebhookSettings, read
from webhook.access import Access

try:
    _settings, _ledger = read(WebhookSettings, LedgerSettings)
    # What cannot work is said here once, instead of by each worker with a traceback.
    Access(_settings)
    database.connect(_ledger, process="webhook")
except FieldpipeError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)

bind = _settings.bind
workers = _settings.workers
worker_class = "webhook.worker.TimedThreadWorker"
threads = 64
keepalive = 75  # seconds; MinIO keeps its connection
timeout = 30
graceful_timeout = 10
control_socket_disable = True  # it would be a file in the home folder

# Before prometheus_client is imported: it decides then whether processes share their counters.
_counters = tempfile.mkdtemp(prefix="fieldpipe-metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _counters


def on_starting(server: Arbiter) -> None:
    """Let gunicorn's lines come out like ours."""
    server.log.error_log.handlers = []
    server.log.error_log.propagate = True
    logs.configure("webhook")


def on_exit(server: Arbiter) -> None:  # noqa: ARG001 -- gunicorn's signature
    """The counters end with the process, as Prometheus expects."""
    shutil.rmtree(_counters, ignore_errors=True)
