"""Look into the ledger and act on it.

list, show, dead and stats only look. `retry` gives dead objects another chance, `reprocess` runs finished ones again
(after a new pipeline version), `migrate` creates or updates the tables.
"""

import argparse
import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from fieldpipe import errors, logs
from fieldpipe.events import database, migrations, people, queries, tables
from fieldpipe.events.routes import load_routes
from fieldpipe.events.states import State
from fieldpipe.settings import BucketSettings, LedgerSettings, RouteSettings, read

OBJECT_COLUMNS = ("id", "state", "route", "key", "etag", "attempt", "received_at", "state_at", "reason")
REJECTED_COLUMNS = ("sha256", "size", "count", "first_at", "last_at", "reason")

Answer = tuple[Any, str]  # for --json, for people


def main() -> int:
    arguments = _parser().parse_args()
    logs.configure("ledger")
    (ledger,) = read(LedgerSettings)
    engine = database.connect(ledger, process="ledger")
    if arguments.command == "migrate":
        errors.patiently(lambda: migrations.migrate(engine), arguments.wait)
        print("the ledger is migrated")
        return 0
    with database.transaction(engine) as connection:
        if not migrations.is_migrated(connection):
            raise errors.ConfigurationError("the ledger is not migrated: python -m scripts.ledger migrate")
        value, text = arguments.answer(connection, arguments)
    print(json.dumps(value, default=people.plain, indent=1) if arguments.json else text)
    return 0


def _list(connection: Connection, arguments: argparse.Namespace) -> Answer:
    rows = people.list_objects(connection, _filter(arguments, arguments.state), limit=arguments.limit)
    return rows, tables.table(rows, OBJECT_COLUMNS)


def _dead(connection: Connection, arguments: argparse.Namespace) -> Answer:
    rows = people.list_objects(connection, _filter(arguments, State.DEAD), limit=arguments.limit)
    bodies = people.list_rejected(connection, limit=arguments.limit)
    text = f"{tables.table(rows, OBJECT_COLUMNS)}\n\nrejected bodies:\n{tables.table(bodies, REJECTED_COLUMNS)}"
    return {"objects": rows, "rejected": bodies}, text


def _show(connection: Connection, arguments: argparse.Namespace) -> Answer:
    rows = people.show(connection, arguments.name)
    return rows, "\n\n".join(tables.record(row) for row in rows)


def _stats(connection: Connection, _: argparse.Namespace) -> Answer:
    route, bucket = read(RouteSettings, BucketSettings)
    routes = load_routes(route.file, output_bucket=bucket.processed_bucket)
    backlog, totals = queries.backlog(connection, routes), people.totals(connection)
    return {"totals": totals, **asdict(backlog)}, tables.stats(backlog, totals)


def _retry(connection: Connection, arguments: argparse.Namespace) -> Answer:
    count = people.retry(connection, _acting_filter(arguments, State.DEAD))
    return {"retried": count}, f"{count} dead objects wait for a run again"


def _reprocess(connection: Connection, arguments: argparse.Namespace) -> Answer:
    count = people.reprocess(connection, _acting_filter(arguments, State.DONE))
    return {"reprocessed": count}, f"{count} finished objects wait for a run again"


def _acting_filter(arguments: argparse.Namespace, state: State) -> people.Filter:
    wanted = _filter(arguments, state)
    if wanted == people.Filter(state) and not arguments.all:
        raise errors.PermanentError(f"which objects? Name them, filter them, or say --all ({state})")
    return wanted


def _filter(arguments: argparse.Namespace, state: State | None) -> people.Filter:
    return people.Filter(
        state=state,
        route=arguments.route,
        bucket=arguments.bucket,
        key=arguments.key,
        reason=arguments.reason,
        ids=tuple(arguments.ids),
    )


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="for programs")
    filters = argparse.ArgumentParser(add_help=False)
    filters.add_argument("ids", nargs="*", type=int, help="numbers of rows")
    filters.add_argument("--route")
    filters.add_argument("--bucket")
    filters.add_argument("--key", help="may hold *")
    filters.add_argument("--reason", help="part of the reason")
    limit = argparse.ArgumentParser(add_help=False)
    limit.add_argument("--limit", type=int, default=50, help="rows at most (default 50)")

    parser = argparse.ArgumentParser(prog="scripts.ledger", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", parents=[shared, filters, limit], help="object versions, newest first")
    listing.add_argument("--state", type=State, choices=list(State))
    listing.set_defaults(answer=_list)
    show = commands.add_parser("show", parents=[shared], help="everything about one object, with its history and runs")
    show.add_argument("name", help="number or key of an object, or start of a rejected body's sha256")
    show.set_defaults(answer=_show)
    dead = commands.add_parser("dead", parents=[shared, filters, limit], help="what a person must decide about")
    dead.set_defaults(answer=_dead)
    stats = commands.add_parser("stats", parents=[shared], help="how much there is, what waits, and why")
    stats.set_defaults(answer=_stats)
    for name, answer, what in (
        ("retry", _retry, "give dead objects another chance"),
        ("reprocess", _reprocess, "run finished objects again"),
    ):
        acting = commands.add_parser(name, parents=[shared, filters], help=what)
        acting.add_argument("--all", action="store_true", help="needed when nothing else says which")
        acting.set_defaults(answer=answer)
    migrate = commands.add_parser("migrate", help="create or update the tables")
    migrate.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="how long to wait for the database")
    return parser


if __name__ == "__main__":
    errors.run(main)
