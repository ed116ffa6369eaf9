"""The supervisor with small real processes: order, restarts, failures, stopping."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fieldpipe.local import process
from fieldpipe.local.home import Home
from fieldpipe.local.process import Command
from fieldpipe.local.status import ServiceStatus, State
from fieldpipe.local.steps import Job, Script, Service, Step
from fieldpipe.local.supervisor import Supervisor, levels, pause
from tests.waiting import alive, eventually


@dataclass(frozen=True)
class Shell:
    """A server that is a line of shell; it serves when its file exists."""

    script: str
    folder: Path
    serves: str | None = None
    prepared: list[float] = field(default_factory=list)

    def prepare(self) -> None:
        self.prepared.append(0)

    def command(self) -> Command:
        return Command(("/bin/sh", "-c", self.script), self.folder, process.base_environment("unused"), stop_seconds=2)

    def ready(self, since: float) -> bool:
        return self.serves is None or (self.folder / self.serves).exists()


class Runner:
    """A supervisor in a thread, and everything it said."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._supervisor: Supervisor | None = None
        self._thread: threading.Thread | None = None
        self.now: dict[str, ServiceStatus] = {}
        self.seen: list[tuple[str, State]] = []

    def run(self, *steps: Step) -> Supervisor:
        self._supervisor = Supervisor(steps, self._home, self._changed)
        self._thread = threading.Thread(target=self._supervisor.run)
        self._thread.start()
        return self._supervisor

    def stop(self) -> None:
        if self._supervisor is not None and self._thread is not None:
            self._supervisor.stop()
            self._thread.join(20)
            assert not self._thread.is_alive()

    def await_end(self) -> None:
        assert self._thread is not None
        self._thread.join(20)

    def await_state(self, name: str, state: State) -> ServiceStatus:
        eventually(lambda: name in self.now and self.now[name].state is state)
        return self.now[name]

    def _changed(self, statuses: tuple[ServiceStatus, ...]) -> None:
        self.now = {status.name: status for status in statuses}
        self.seen += [(s.name, s.state) for s in statuses if (s.name, s.state) not in self.seen]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home", tmp_path)
    home.prepare()
    return home


@pytest.fixture
def runner(home: Home) -> Iterator[Runner]:
    runner = Runner(home)
    yield runner
    runner.stop()


def _pid(status: ServiceStatus) -> int:
    assert status.process is not None
    return status.process.pid


def test_a_service_starts_only_when_what_it_needs_serves(runner: Runner, tmp_path: Path) -> None:
    runner.run(
        Service("first", Shell("exec sleep 60", tmp_path, serves="first-is-ready")),
        Service("second", Shell("exec sleep 60", tmp_path), after=("first",)),
    )
    runner.await_state("first", State.STARTING)
    assert runner.now["second"].state is State.WAITING

    (tmp_path / "first-is-ready").touch()

    runner.await_state("second", State.SERVING)
    assert runner.seen.index(("first", State.SERVING)) < runner.seen.index(("second", State.STARTING))


def test_a_service_that_dies_is_restarted_with_everything_it_left(runner: Runner, home: Home, tmp_path: Path) -> None:
    runner.run(Service("web", Shell("sleep 61 & exec sleep 60", tmp_path)))
    before = runner.await_state("web", State.SERVING)
    family = eventually(lambda: found if len(found := _group(_pid(before))) == 2 else None)

    os.kill(_pid(before), signal.SIGKILL)

    eventually(lambda: runner.now["web"].restarts == 1 and runner.now["web"].state is State.SERVING)
    assert _pid(runner.now["web"]) != _pid(before)
    eventually(lambda: not any(alive(pid) for pid in family))


def test_a_job_runs_before_those_that_need_it(runner: Runner, tmp_path: Path) -> None:
    migrate = Script(("/bin/sh", "-c", "echo done > migrated"), tmp_path, process.base_environment("unused"))
    runner.run(
        Job("migrate", migrate),
        Service("web", Shell("test -e migrated && exec sleep 60", tmp_path, serves="migrated"), after=("migrate",)),
    )

    runner.await_state("web", State.SERVING)
    assert runner.now["migrate"].state is State.DONE


def test_a_job_that_is_not_needed_does_not_run(runner: Runner, tmp_path: Path) -> None:
    class Done(Script):
        def needed(self) -> bool:
            return False

    runner.run(Job("migrate", Done(("/bin/sh", "-c", "touch ran"), tmp_path, {})))

    runner.await_state("migrate", State.DONE)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "broken",
    [
        lambda folder: Service("broken", Shell("echo out of paper; exit 3", folder, serves="never")),
        lambda folder: Job("broken", Script(("/bin/sh", "-c", "echo out of paper; exit 3"), folder, {})),
    ],
    ids=["service", "job"],
)
def test_what_cannot_start_ends_the_stack_and_says_why(
    runner: Runner, home: Home, tmp_path: Path, broken: Callable[[Path], Step]
) -> None:
    supervisor = runner.run(Service("good", Shell("exec sleep 60", tmp_path)), broken(tmp_path))

    runner.await_end()

    assert supervisor.failure is not None
    assert supervisor.failure.startswith("broken: ended with exit code 3")
    assert "out of paper" in supervisor.failure
    assert str(home.log("broken")) in supervisor.failure
    assert runner.now["good"].state in (State.STOPPED, State.WAITING)


def test_services_stop_before_what_they_need(runner: Runner, tmp_path: Path) -> None:
    runner.run(
        Service("database", Shell("exec sleep 60", tmp_path)),
        Service("web", Shell("exec sleep 60", tmp_path), after=("database",)),
    )
    runner.await_state("web", State.SERVING)

    runner.stop()

    assert runner.seen.index(("web", State.STOPPED)) < runner.seen.index(("database", State.STOPPING))


def test_a_service_that_ignores_its_signal_is_killed(runner: Runner, tmp_path: Path) -> None:
    stubborn = "trap '' TERM; touch deaf; while :; do sleep 1; done"
    runner.run(Service("stubborn", Shell(stubborn, tmp_path, serves="deaf")))
    pid = _pid(runner.await_state("stubborn", State.SERVING))

    runner.stop()

    assert not alive(pid)


def test_a_circle_of_needs_is_refused(tmp_path: Path) -> None:
    shell = Shell("true", tmp_path)
    with pytest.raises(ValueError, match="a, b"):
        levels([Service("a", shell, after=("b",)), Service("b", shell, after=("a",))])


def test_the_first_deaths_are_answered_at_once_and_later_ones_more_and_more_slowly() -> None:
    assert [pause(deaths) for deaths in range(1, 10)] == [0, 0, 1, 2, 4, 8, 16, 30, 30]


def _group(leader: int) -> list[int]:
    members = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == leader:
                members.append(int(folder.name))
        except ProcessLookupError:  # it ended while we looked
            continue
    return members
