"""How the watcher waits."""

from threading import Event as Flag

from fieldpipe.sentinel.etcd import Etcd
from fieldpipe.sentinel.mirror import Checkpoint, Mirror
from fieldpipe.sentinel.schema import DatabaseUnavailable, connect
from fieldpipe.sentinel.watch import LONGEST_PAUSE, Watcher
from fieldpipe.settings import EtcdSettings, MysqlSettings, SentinelSettings

ATTEMPTS = 2000  # hours


class Away(Mirror):
    """Its database is away."""

    def checkpoint(self) -> Checkpoint | None:
        raise DatabaseUnavailable("away")


class Impatient(Flag):
    """Notes how long it would have waited, and ends it all in time."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0)
        if len(self.pauses) == ATTEMPTS:
            self.set()
        return self.is_set()


def test_a_watcher_whose_database_is_away_for_hours_goes_on_trying() -> None:
    stop = Impatient()
    engine = connect(SentinelSettings(url="sqlite://"), MysqlSettings())

    with Etcd(EtcdSettings(host="127.0.0.1", port=1)) as etcd:
        Watcher(etcd, Away(engine), compare_seconds=1).run(stop)

    assert len(stop.pauses) == ATTEMPTS
    assert LONGEST_PAUSE / 2 < max(stop.pauses) <= LONGEST_PAUSE
