"""How a recording is: what it holds per topic, how regularly its messages came, and what is damaged.

Nothing is decoded for that. The same facts stand in every manifest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import accumulate
from typing import Any

from fieldpipe.recordings.executor import FOREVER, Tally, bucket, bucket_start
from fieldpipe.recordings.records import Topic

GAP = 5  # times the usual interval: a longer step is a gap
USUAL = 0.9  # of all steps take no longer than the usual interval (not half of them: messages may come in bursts)
FEWEST_STEPS = 10  # of a topic, before anything is called a gap
SECOND = 1_000_000_000  # nanoseconds


class TopicHealth:
    """How the messages of one topic came. Times are log times in nanoseconds; `size` are bytes of payload."""

    def __init__(self) -> None:
        self.messages = 0
        self.size = 0
        self.first = FOREVER
        self.last = 0
        self.backwards = 0
        self.intervals: Counter[int] = Counter()  # by bucket
        self._last_of: dict[int, int] = {}  # by channel: publishers of one topic keep their own pace

    def add(self, channel: int, tally: Tally) -> None:
        """Take in the messages of a channel, in file order."""
        before = self._last_of.get(channel)
        if before is not None and tally.first < before:
            self.backwards += 1
        elif before is not None:
            self.intervals[bucket(tally.first - before)] += 1
        self._last_of[channel] = tally.last
        self.messages += tally.messages
        self.size += tally.size
        self.first = min(self.first, tally.least)
        self.last = max(self.last, tally.most)
        self.backwards += tally.backwards
        for index, count in tally.intervals.items():
            self.intervals[index] += count

    def described(self) -> dict[str, Any]:
        """For the manifest."""
        gaps, longest = self._gaps()
        return {
            "messages": self.messages,
            "bytes": self.size,
            "first_log_time": self.first if self.messages else None,
            "last_log_time": self.last if self.messages else None,
            "rate_hz": self._rate(),
            "out_of_order": self.backwards,
            "gaps": gaps,
            "longest_gap_seconds": longest,
        }

    def _rate(self) -> float | None:
        """Messages a second, to three digits behind the point."""
        duration = self.last - self.first
        return round((self.messages - 1) * SECOND / duration, 3) if self.messages > 1 and duration else None

    def _gaps(self) -> tuple[int, float]:
        """How many steps are much longer than usual, and the longest in seconds (up to a quarter less than it was)."""
        steps = self.intervals.total()
        if steps < FEWEST_STEPS:
            return 0, 0.0
        buckets = sorted(self.intervals)
        passed = accumulate(self.intervals[index] for index in buckets)
        usual = next(index for index, count in zip(buckets, passed, strict=True) if count >= USUAL * steps)
        limit = GAP * bucket_start(usual + 1)
        long = [index for index in buckets if bucket_start(index) > limit]
        return sum(self.intervals[index] for index in long), round(bucket_start(long[-1]) / SECOND, 3) if long else 0.0


class Health:
    """A whole recording. A chunk is `unchecked` if it carries no CRC, or is cut off."""

    def __init__(self, is_finished: bool) -> None:
        self.is_finished = is_finished
        self.chunks = 0
        self.unchecked = 0
        self.damaged = 0
        self.skipped = 0
        self.topics: dict[Topic, TopicHealth] = defaultdict(TopicHealth)

    def topic(self, topic: Topic) -> TopicHealth:
        """Of one topic; a new one has no messages."""
        return self.topics[topic]

    @property
    def messages(self) -> int:
        """Of all topics."""
        return sum(topic.messages for topic in self.topics.values())

    def described(self) -> dict[str, Any]:
        """For the manifest, apart from the topics."""
        times = [topic for topic in self.topics.values() if topic.messages]
        return {
            "finished": self.is_finished,
            "chunks": self.chunks,
            "chunks_without_crc": self.unchecked,
            "chunks_damaged": self.damaged,
            "chunks_skipped": self.skipped,
            "messages": self.messages,
            "first_log_time": min((topic.first for topic in times), default=None),
            "last_log_time": max((topic.last for topic in times), default=None),
        }

    def described_topics(self) -> list[dict[str, Any]]:
        """For the manifest, by name."""
        ordered = sorted(self.topics.items(), key=lambda item: (item[0].name, item[0].digest))
        return [_identity(topic) | found.described() for topic, found in ordered]


def _identity(topic: Topic) -> dict[str, Any]:
    schema = topic.schema
    return {
        "topic": topic.name,
        "encoding": topic.encoding,
        "schema": schema.name if schema else "",
        "schema_encoding": schema.encoding if schema else "",
    }
