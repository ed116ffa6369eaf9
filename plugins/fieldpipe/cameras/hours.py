"""An hour of a topic, and where what is made of its frames lies in the bucket of results.

    frames/<topic>/year=2023/month=11/day=15/hour=07/parts/<name>.csv   one per batch of frames
    frames/<topic>/year=2023/month=11/day=15/hour=07/<inputs>/...       the table of all of them: see closing
    frames/<topic>/year=2023/month=11/day=15/hour=07/latest.json        names the newest of those
    _frames/open/<topic>/2023-11-15T07/<name>.csv                       a mark: the table does not have this part yet

Hours are those of the images' keys, so they are in the zone of who wrote the images.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from fieldpipe.cameras.layout import ROOT
from fieldpipe.errors import PermanentError
from fieldpipe.handover import LATEST

TABLES = "frames"
MARKS = "_frames/open"

_FOLDER = r"year=(\d{4})/month=(\d\d)/day=(\d\d)/hour=(\d\d)"
_IMAGE = re.compile(rf"[^/]+/([^/]+)/{_FOLDER}/[^/]+")
_MARK = re.compile(rf"{MARKS}/([^/]+)/(\d{{4}})-(\d\d)-(\d\d)T(\d\d)/([^/]+)")


class Hour(NamedTuple):
    """An hour as clocks on the wall show it, in a zone that the caller knows."""

    topic: str
    year: int
    month: int
    day: int
    hour: int

    @classmethod
    def at(cls, topic: str, moment: datetime, zone: tzinfo) -> Hour:
        """The hour of an aware time."""
        local = moment.astimezone(zone)
        return cls(topic, local.year, local.month, local.day, local.hour)

    @classmethod
    def of_image(cls, key: str) -> Hour:
        """The hour that stands in an image's key. Raises PermanentError."""
        found = _IMAGE.fullmatch(key)
        if found is None:
            raise PermanentError(f"{key} is no key of an image, its topic and hour cannot be told")
        return cls(found[1], *map(int, found.groups()[1:]))

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}-{self.day:02}T{self.hour:02}"

    @property
    def folder(self) -> str:
        return f"year={self.year:04}/month={self.month:02}/day={self.day:02}/hour={self.hour:02}"

    @property
    def images(self) -> str:
        """Where the images of the topic's first life lie, and those of Kafka Connect."""
        return f"{ROOT}/{self.topic}/{self.folder}/"

    @property
    def tables(self) -> str:
        return f"{TABLES}/{self.topic}/{self.folder}/"

    @property
    def parts(self) -> str:
        return f"{self.tables}parts/"

    @property
    def marks(self) -> str:
        return f"{MARKS}/{self.topic}/{self}/"

    @property
    def latest(self) -> str:
        return self.tables + LATEST

    def end(self, zone: tzinfo) -> datetime:
        """When it is over, in UTC. An hour that a change of clocks repeats ends with its repetition."""
        last = datetime(self.year, self.month, self.day, self.hour, tzinfo=zone, fold=1)
        return last.astimezone(UTC) + timedelta(hours=1)


def parse_mark(key: str) -> tuple[Hour, str] | None:
    """The hour and the part's name that a mark stands for; None: it is no mark of ours."""
    found = _MARK.fullmatch(key)
    return (Hour(found[1], *map(int, found.groups()[1:5])), found[6]) if found else None
