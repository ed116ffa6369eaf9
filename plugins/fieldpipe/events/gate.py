"""Whether a route's DAG takes runs now. What is held says why, in the ledger, for people and /metrics."""

import time
from collections.abc import Callable

from fieldpipe import logs
from fieldpipe.events.airflow import AirflowClient, AirflowRefused
from fieldpipe.events.ledger import Ledger

OPEN_FOR = 5.0  # seconds that a good answer is believed
HELD_FOR = 2.0  # seconds until a held route is looked at again

log = logs.get(__name__)


class Gate:
    """Remembers what Airflow said about each route's DAG."""

    def __init__(self, airflow: AirflowClient, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self._airflow = airflow
        self._ledger = ledger
        self._clock = clock
        self._ask_again: dict[str, float] = {}
        self._held: dict[str, str | None] = {}

    def is_held(self, route: str) -> bool:
        """Whether the route was held when it was last looked at."""
        return self._held.get(route) is not None

    def is_open(self, route: str, dag_id: str) -> bool:
        """Whether runs may be started. Raises AirflowUnavailable."""
        if self._clock() >= self._ask_again.get(route, 0.0):
            self.hold(route, self._trouble(dag_id))
        return not self.is_held(route)

    def hold(self, route: str, reason: str | None) -> None:
        """Note why the route starts nothing for now; None: it does."""
        if route not in self._held or self._held[route] != reason:
            self._ledger.hold(route, reason)
            log.info("route_held" if reason else "route_open", route=route, reason=reason)
        self._held[route] = reason
        self._ask_again[route] = self._clock() + (HELD_FOR if reason else OPEN_FOR)

    def _trouble(self, dag_id: str) -> str | None:
        try:
            status = self._airflow.dag(dag_id)
        except AirflowRefused as error:
            return str(error)
        if not status.exists:
            return f"Airflow has no DAG {dag_id}"
        if status.broken:
            return f"the file of DAG {dag_id} has import errors"
        return f"DAG {dag_id} is paused" if status.paused else None
