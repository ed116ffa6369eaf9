"""How soon a service that was killed serves again. Between two kills the stack comes to rest."""

from collections.abc import Iterator

from fieldpipe.local.status import State
from tests.bench.stack import BenchStack
from tests.stacks import RunningStack


def restarts(stack: BenchStack) -> Iterator[tuple[str, float]]:
    """Kill every service once with SIGKILL; yields its name and the seconds until it served again."""
    running = RunningStack(stack.home)
    for service in running.status().services:
        if service.state is State.SERVING:
            moment = running.kill(service.name)
            after = running.await_serving_since(service.name, moment)
            assert after.since is not None
            yield service.name, after.since - moment
