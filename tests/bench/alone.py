"""The webhook and its ledger alone, without the rest of the stack: what an acknowledgement costs."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from fieldpipe.events import database
from fieldpipe.events.migrations import migrate
from fieldpipe.local import ports, probe, process
from fieldpipe.local.postgres import PostgresServer
from fieldpipe.local.process import Command, base_environment
from fieldpipe.settings import LedgerSettings
from tests.bench.load import Target

PROJECT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-of-the-benchmark"
LEDGER = "ledger"


@dataclass(frozen=True)
class _Webhook:
    port: int
    ledger_url: str
    stack: str

    def prepare(self) -> None:
        """Nothing: the ledger is migrated before."""

    def command(self) -> Command:
        variables = {
            "FIELDPIPE_LEDGER_URL": self.ledger_url,
            "WEBHOOK_BIND": f"{probe.HOST}:{self.port}",
            "WEBHOOK_AUTH_TOKEN": TOKEN,
        }
        arguments = (sys.executable, "-m", "gunicorn", "-c", "webhook/gunicorn.conf.py", "webhook.wsgi:app")
        return Command(arguments, PROJECT, base_environment(self.stack) | variables)

    def ready(self, since: float) -> bool:
        return probe.get(self.port, "/ready") is not None


@contextmanager
def webhook_alone(folder: Path, mark: str) -> Iterator[Target]:
    """PostgreSQL (durable: with fsync) and gunicorn as the stack runs them; both are ended at the end."""
    sockets = Path(tempfile.mkdtemp(prefix="fp-"))
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, sockets)
        postgres = PostgresServer(folder / "data", sockets, mark)
        cleanup.callback(process.start(postgres, folder / "postgres.log").stop)
        postgres.ensure_database(LEDGER)
        engine = database.connect(LedgerSettings(url=SecretStr(postgres.url(LEDGER))), process="bench")
        migrate(engine)
        engine.dispose()
        server = _Webhook(ports.free_port(set()), postgres.url(LEDGER), mark)
        cleanup.callback(process.start(server, folder / "webhook.log").stop)
        yield Target(server.port, token=TOKEN)
