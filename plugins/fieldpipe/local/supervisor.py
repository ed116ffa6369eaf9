"""Keeps a stack going: starts each service once what it needs serves, restarts what dies, stops all in order."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from fieldpipe import logs
from fieldpipe.errors import FieldpipeError
from fieldpipe.local import logfiles, marks, process
from fieldpipe.local.home import Home
from fieldpipe.local.process import Child, Command, StartFailed
from fieldpipe.local.status import Identity, ServiceStatus, State
from fieldpipe.local.steps import Job, Service, Step

HOUSEKEEPING_SECONDS = 5.0
QUICK_RESTARTS = 2  # deaths within a minute that are answered at once; after that the pause doubles
LONGEST_PAUSE = 30.0  # seconds

log = logs.get(__name__)


class Supervisor:
    """Runs steps until `stop` is called or one of them cannot start for the first time.

    `changed` is called with all statuses after every change, from the thread that made it.
    """

    def __init__(self, steps: Sequence[Step], home: Home, changed: Callable[[tuple[ServiceStatus, ...]], None]) -> None:
        self._steps = steps
        self._home = home
        self._changed = changed
        self._stopping = threading.Event()
        self._news = threading.Condition()  # guards the two below
        self._statuses = {step.name: ServiceStatus(step.name, address=step.address) for step in steps}
        self._children: dict[str, Child] = {}
        self.failure: str | None = None

    def run(self) -> None:
        """Returns when everything has ended; `failure` says why when that was not asked for."""
        keepers = [threading.Thread(target=self._keep, args=(step,), name=step.name) for step in self._steps]
        for keeper in keepers:
            keeper.start()
        while not self._stopping.wait(HOUSEKEEPING_SECONDS):
            logfiles.trim(self._home.logs)
        self._stop_in_order()
        for keeper in keepers:
            keeper.join()
        for name, status in self._statuses.items():  # one that was just being started when the end came
            if status.state in (State.STARTING, State.SERVING, State.RESTARTING):
                self._set(name, state=State.STOPPED, process=None)

    def stop(self) -> None:
        """Ask `run` to end everything; may be called from a signal handler."""
        self._stopping.set()

    # one step

    def _keep(self, step: Step) -> None:
        if not self._await(step.after):
            return
        try:
            if isinstance(step, Job):
                self._do(step)
            else:
                self._serve(step)
        except (FieldpipeError, OSError) as error:
            self._fail(step, str(error))
        except Exception as error:  # a keeper that dies silently would leave its service unwatched
            log.exception("keeper_failed", service=step.name)
            self._fail(step, f"{type(error).__name__}: {error}")

    def _do(self, job: Job) -> None:
        begin = time.monotonic()
        if job.work.needed():
            child = self._launch(job, job.work.command())
            code = child.wait(job.start_seconds)
            if self._stopping.is_set():
                return
            child.kill()
            if code != 0:
                raise process.failed(child, job.start_seconds)
            job.work.succeeded()
        self._set(job.name, state=State.DONE, process=None, seconds=time.monotonic() - begin)

    def _serve(self, service: Service) -> None:
        self._start(service)
        deaths: list[float] = []
        while not self._stopping.is_set():
            code = self._children[service.name].wait()
            if self._stopping.is_set():
                return
            now = time.monotonic()
            deaths = [*(moment for moment in deaths if now - moment < 60), now]
            log.warning("service_died", service=service.name, exit_code=code, deaths_in_a_minute=len(deaths))
            self._restart(service, pause(len(deaths)), code)

    def _restart(self, service: Service, seconds: float, code: int | None) -> None:
        before = self._statuses[service.name]
        note = f"ended with exit code {code}"
        self._set(service.name, state=State.RESTARTING, process=None, restarts=before.restarts + 1, note=note)
        self._children[service.name].kill()
        marks.sweep(self._home.stack, service.name, seconds=0)
        if self._stopping.wait(seconds):
            return
        try:
            self._start(service)
        except (FieldpipeError, OSError) as error:
            log.warning("service_does_not_start", service=service.name, error=str(error))

    def _start(self, service: Service) -> None:
        service.server.prepare()
        child = self._launch(service, service.server.command())
        try:
            seconds = process.await_ready(service.server, child, service.start_seconds)
        except FieldpipeError:
            child.stop()
            if self._stopping.is_set():
                return
            raise
        log.info("service_serves", service=service.name, pid=child.pid, seconds=round(seconds, 2))
        self._set(service.name, state=State.SERVING, since=time.time(), seconds=seconds)

    def _launch(self, step: Step, command: Command) -> Child:
        # TMPDIR: what a killed process leaves there goes with the stack.
        environment = {**command.environment, marks.SERVICE: step.name, "TMPDIR": str(self._home.temporary)}
        with self._news:  # stopping must find every child
            if self._stopping.is_set():
                raise StartFailed("the stack is being stopped")
            child = Child(replace(command, environment=environment), self._home.log(step.name))
            self._children[step.name] = child
        restarting = self._statuses[step.name].state is State.RESTARTING
        state = State.RESTARTING if restarting else State.STARTING
        self._set(step.name, state=state, process=Identity.of(child.pid))
        return child

    # all of them

    def _await(self, names: tuple[str, ...]) -> bool:
        """Wait until these serve (or have succeeded); False when the stack is being stopped."""

        def over() -> bool:
            return self._stopping.is_set() or all(
                self._statuses[name].state in (State.SERVING, State.DONE) for name in names
            )

        with self._news:
            while not over():
                self._news.wait(1.0)  # a signal handler sets `_stopping` without notice
        return not self._stopping.is_set()

    def _fail(self, step: Step, reason: str) -> None:
        if self._stopping.is_set():
            return
        self.failure = f"{step.name}: {reason}"
        self._set(step.name, state=State.FAILED, process=None, note=reason.splitlines()[0])
        self.stop()

    def _stop_in_order(self) -> None:
        begin = time.monotonic()
        for names in reversed(levels(self._steps)):
            with self._news:
                children = {name: self._children[name] for name in names if name in self._children}
            for name, child in children.items():
                if child.exit_code() is None:
                    self._set(name, state=State.STOPPING)
                child.ask_to_stop()
            for name, child in children.items():
                child.stop()
                log.info("service_stopped", service=name, seconds=round(time.monotonic() - begin, 2))
                if self._statuses[name].state is State.STOPPING:
                    self._set(name, state=State.STOPPED, process=None)

    def _set(self, name: str, **changes: object) -> None:
        with self._news:
            self._statuses[name] = replace(self._statuses[name], **changes)  # type: ignore[arg-type]
            self._news.notify_all()
            self._changed(tuple(self._statuses.values()))


def pause(deaths: int) -> float:
    """Seconds to wait before the next start, by the number of deaths within the last minute."""
    return 0.0 if deaths <= QUICK_RESTARTS else min(2.0 ** (deaths - QUICK_RESTARTS - 1), LONGEST_PAUSE)


def levels(steps: Sequence[Step]) -> list[list[str]]:
    """Names by depth of need: what a level needs is in the levels before it. Raises ValueError for a circle."""
    depth: dict[str, int] = {}
    waiting = {step.name: step for step in steps}
    while waiting:
        met = [step for step in waiting.values() if all(name in depth for name in step.after)]
        if not met:
            raise ValueError(f"these wait for one another, or for something unknown: {', '.join(waiting)}")
        for step in met:
            depth[step.name] = 1 + max((depth[name] for name in step.after), default=-1)
            del waiting[step.name]
    return [[name for name, at in depth.items() if at == level] for level in range(max(depth.values(), default=-1) + 1)]
