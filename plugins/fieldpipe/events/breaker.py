"""A circuit breaker: after several failures in a row a service is left alone for a while, then tried once."""

import random
import time
from collections.abc import Callable

from fieldpipe.events.decisions import full_jitter

_THRESHOLD = 5  # failures in a row
_OPEN = (2.0, 20.0)  # seconds: first and longest pause


class Breaker:
    """Closed: calls go through. Open: they do not, until the pause is over; then one decides."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return self._clock() < self._open_until

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= _THRESHOLD:
            self._open_until = self._clock() + full_jitter(self._failures - _THRESHOLD, _OPEN, self._chance())
