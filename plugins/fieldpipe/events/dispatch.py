"""The dispatcher: claims rows, sends runs to Airflow, watches them, closes them. See PROTOCOL in docs/protocol.md.

One turn is: look at the runs that are due, resolve events without ETag, admit what may start (last, so that it finds
the places of the runs that have just ended). The decisions themselves are pure (decisions.py), the database work is
the ledger's (ledger.py).
"""

import random
import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine

from fieldpipe import logs
from fieldpipe.crashpoints import reach
from fieldpipe.errors import TransientError
from fieldpipe.events.airflow import AirflowClient, AirflowRefused, AirflowUnavailable, RunIdTaken
from fieldpipe.events.breaker import Breaker
from fieldpipe.events.decisions import poll_delay, resend_delay
from fieldpipe.events.gate import Gate
from fieldpipe.events.ledger import Ledger, Run
from fieldpipe.events.listener import Listener
from fieldpipe.events.reports import read_reports
from fieldpipe.events.resolve import resolve
from fieldpipe.events.routes import Routes
from fieldpipe.events.states import RunState
from fieldpipe.store import ObjectStore

IDLE_SECONDS = 1.0  # between two looks when nobody notifies us
SHORTEST_SECONDS = 0.05
TURN_SECONDS = 0.1  # from turn to turn at least: in a burst every commit of the webhook notifies us
RUNS_PER_TURN = 32
ENDED = ("success", "failed")  # states of an Airflow run that will not change by themselves

log = logs.get(__name__)


class Dispatcher:
    """One of any number of dispatchers. `step` is one turn, `run` repeats it until `stop` is set."""

    def __init__(
        self,
        *,
        engine: Engine,
        ledger: Ledger,
        airflow: AirflowClient,
        store: ObjectStore,
        routes: Routes,
        output_bucket: str,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._airflow = airflow
        self._store = store
        self._routes = routes
        self._output_bucket = output_bucket
        self._chance = chance
        self._breaker = Breaker(chance=chance)
        self._gate = Gate(airflow, ledger)

    def run(self, stop: threading.Event, after_turn: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; then finish the turn and give the leases back."""
        listener = Listener(self._engine)
        while not stop.is_set():
            began = time.monotonic()
            try:
                self.step()
                listener.wait(self._pause(), stop)
                stop.wait(max(0.0, began + TURN_SECONDS - time.monotonic()))
            except TransientError as error:
                log.warning("turn_failed", error=str(error))
                stop.wait(IDLE_SECONDS * (0.5 + self._chance()))
            after_turn()
        self._ledger.release()

    def step(self) -> None:
        """One turn. Raises LedgerUnavailable; trouble of Airflow and the store is dealt with here."""
        for run in [] if self._breaker.is_open else self._ledger.lease_due(RUNS_PER_TURN):
            self._advance(run)
        for name in self._routes.by_name:
            self._resolve(name)
            self._admit(name)

    def _resolve(self, route: str) -> None:
        if not self._ledger.demand(route).unresolved:
            return
        try:
            resolve(self._engine, self._store, route)
        except TransientError as error:
            log.warning("events_not_resolved", route=route, error=str(error))

    def _admit(self, name: str) -> None:
        """Start runs while rows are due, the limit allows it and Airflow takes them."""
        route = self._routes.by_name[name]
        while not self._breaker.is_open:
            demand = self._ledger.demand(name)
            if not demand.waiting and not self._gate.is_held(name):  # a held route is looked at to let it go
                return
            if demand.runs >= route.max_runs or not self._is_admitted(name, route.dag_id):
                return
            run = self._ledger.claim(route)
            if run is None:
                return
            log.info("run_claimed", run=run.run_id, objects=len(run.conf["objects"]))
            reach("dispatch.claimed")
            self._send(run)

    def _is_admitted(self, route: str, dag_id: str) -> bool:
        try:
            return self._gate.is_open(route, dag_id)
        except AirflowUnavailable as error:
            self._gate.hold(route, f"Airflow does not answer: {error}")
            self._failed(error)
            return False

    def _advance(self, run: Run) -> None:
        if self._breaker.is_open:  # it opened during this turn
            self._ledger.postpone(run, poll_delay(run.age))
        elif run.state is RunState.CLAIMED:
            self._send(run)
        else:
            self._watch(run)

    def _send(self, run: Run) -> None:
        try:
            created = self._airflow.trigger(run.dag_id, run.run_id, run.conf)
        except RunIdTaken as error:
            log.warning("run_id_taken", run=run.run_id, error=str(error))
            self._ledger.abandon(run, str(error))
            return
        except AirflowRefused as error:
            self._gate.hold(run.route, str(error))
            self._retry_later(run, error)
            return
        except AirflowUnavailable as error:
            self._failed(error)
            self._retry_later(run, error)
            return
        self._breaker.succeeded()
        reach("dispatch.triggered")
        self._ledger.mark_dispatched(run)
        log.info("run_dispatched", run=run.run_id, dag=run.dag_id, created=created)

    def _watch(self, run: Run) -> None:
        """The run's state first, reports second: a report that is not there counts only once the run has ended."""
        try:
            state = self._airflow.run_state(run.dag_id, run.run_id)
            lost = state is None and self._airflow.dag(run.dag_id).exists
            self._breaker.succeeded()
        except (AirflowUnavailable, AirflowRefused) as error:
            if isinstance(error, AirflowUnavailable):
                self._failed(error)
            self._retry_later(run, error)
            return
        if state in ENDED or lost:
            self._close(run, state)
        elif state is None:
            self._gate.hold(run.route, f"Airflow has no DAG {run.dag_id}")
            self._ledger.postpone(run, poll_delay(run.age), failed=True)
        else:
            self._ledger.postpone(run, poll_delay(run.age))

    def _close(self, run: Run, state: str | None) -> None:
        """`state` is None for a run that Airflow has lost: then only a full set of reports can close it."""
        try:
            reports = read_reports(self._store, self._output_bucket, run.run_id)
        except TransientError as error:
            self._retry_later(run, error)
            return
        if state is None and any(item["id"] not in reports for item in run.conf["objects"]):
            log.warning("run_lost_by_airflow", run=run.run_id)
            self._ledger.send_again(run)
            return
        verdicts = self._ledger.close(run, reports, state or "unknown")
        if verdicts is not None:
            counts = {str(s): sum(v.state is s for v in verdicts) for s in {v.state for v in verdicts}}
            log.info("run_closed", run=run.run_id, state=state, seconds=round(run.age, 2), objects=counts)

    def _retry_later(self, run: Run, error: Exception) -> None:
        log.warning("run_postponed", run=run.run_id, error=str(error))
        self._ledger.postpone(run, resend_delay(run.failures, self._chance()), failed=True)

    def _failed(self, error: Exception) -> None:
        self._breaker.failed()
        log.warning("airflow_unavailable", error=str(error), breaker_open=self._breaker.is_open)

    def _pause(self) -> float:
        due = self._ledger.seconds_to_next_run()
        return IDLE_SECONDS if due is None else min(IDLE_SECONDS, max(SHORTEST_SECONDS, due))
