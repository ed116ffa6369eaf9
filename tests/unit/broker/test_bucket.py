"""The sink bucket over a store in memory: whatever fails whenever, each reading is in exactly one recording."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from fieldpipe.broker.sinks import recording
from fieldpipe.broker.sinks.bucket import BucketSink, RecordingSettings
from fieldpipe.broker.sinks.sink import SinkUnavailable
from fieldpipe.store import StoreUnavailable
from tests.unit.broker.readings import reading

SETTINGS = RecordingSettings(bucket="raw-data")
MOST_BYTES = 100  # of the payloads of one recording


class MemoryStore:
    """Objects in a dictionary. `outcomes` says of each create whether it fails before or behind the writing."""

    def __init__(self, outcomes: list[str]) -> None:
        self.objects: dict[str, bytes] = {}
        self._outcomes = outcomes

    def bucket_exists(self, bucket: str) -> bool:
        return True

    def require_conditional_writes(self, bucket: str) -> None:
        """It has them."""

    def create(self, bucket: str, key: str, content: bytes, *, content_type: str) -> bool:
        outcome = self._outcomes.pop() if self._outcomes else "works"
        if outcome == "fails":
            raise StoreUnavailable("no connection")
        created = self.objects.setdefault(key, content) is content
        if outcome == "answer lost":
            raise StoreUnavailable("connection reset")
        return created

    def get(self, bucket: str, key: str, *, limit: int) -> tuple[bytes, str]:
        return self.objects[key], ""


@settings(max_examples=50)  # the first recordings take longer
@given(
    sizes=st.lists(st.sampled_from([1, MOST_BYTES // 2, MOST_BYTES]), max_size=6),
    outcomes=st.lists(st.sampled_from(["works", "fails", "answer lost"]), max_size=8),
    arrivals=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    restarts=st.lists(st.booleans(), max_size=8),
)
def test_each_reading_is_in_exactly_one_recording(
    sizes: list[int], outcomes: list[str], arrivals: list[int], restarts: list[bool]
) -> None:
    queue = [reading(number, bytes(size)) for number, size in enumerate(sizes)]
    store = MemoryStore(outcomes)
    sink = BucketSink(SETTINGS, store, MOST_BYTES)  # type: ignore[arg-type]
    known = done = 0

    while done < len(queue):
        known = max(known, done) + (arrivals.pop() if arrivals else len(queue))
        if restarts and restarts.pop():
            sink = BucketSink(SETTINGS, store, MOST_BYTES)  # type: ignore[arg-type]
        try:
            sink.deliver(queue[done:known])
        except SinkUnavailable:
            continue
        done = min(known, len(queue))

    found = Counter(each for content in store.objects.values() for each in recording.ids(content))
    assert found == Counter(each.id for each in queue)
