"""Entry point of a worker process: `gunicorn -c webhook/gunicorn.conf.py webhook.wsgi:app`."""

from flask import Flask

from fieldpipe.events import database
from fieldpipe.events.queries import Backlog, backlog
from fieldpipe.events.receive import Receiver
from fieldpipe.events.routes import load_routes
from fieldpipe.settings import BucketSettings, LedgerSettings, RouteSettings, WebhookSettings, read
from webhook.access import Access
from webhook.app import create_app
from webhook.metrics import Metrics


def build() -> Flask:
    """The application, from the environment. Raises ConfigurationError."""
    own, ledger, route, bucket = read(WebhookSettings, LedgerSettings, RouteSettings, BucketSettings)
    routes = load_routes(route.file, output_bucket=bucket.processed_bucket)
    engine = database.connect(ledger, process="webhook")

    def read_backlog() -> Backlog:
        with database.transaction(engine) as connection:
            return backlog(connection, routes)

    return create_app(Receiver(engine, routes), Access(own), Metrics(read_backlog))


app = build()
