"""What a person may choose about a conversion."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from fieldpipe.errors import PermanentError
from fieldpipe.recordings.executor import FOREVER


class Options:
    """`topics` are globs (none: all topics); `start` and `end` log times in nanoseconds, the end not included.

    `explode` are paths of lists whose elements become rows; without `images` the topics of pictures are tables without
    picture files; `formula_safe` puts a quote before texts that a spreadsheet takes for formulas; `base64` writes bytes
    as base64 instead of lists of numbers; `points` makes a row of every point of a cloud. All of these change the
    results, `workers` (None: as many as there are CPUs, at most 4) does not. Raises PermanentError.
    """

    def __init__(
        self,
        *,
        topics: tuple[str, ...] = (),
        start: int | None = None,
        end: int | None = None,
        explode: tuple[str, ...] = (),
        images: bool = True,
        formula_safe: bool = False,
        base64: bool = False,
        points: bool = False,
        workers: int | None = None,
    ) -> None:
        self.topics = topics
        self.start = start
        self.end = end
        self.explode = explode
        self.images = images
        self.formula_safe = formula_safe
        self.base64 = base64
        self.points = points
        self.workers = workers
        first, behind = self.window
        if first >= behind:
            raise PermanentError(f"the time window is empty: it starts at {first} and ends before {behind}")
        if workers is not None and workers < 1:
            raise PermanentError(f"{workers} workers cannot do anything: give 1 or more")

    def but(self, **changes: Any) -> Options:
        """The same with some other choices. Raises PermanentError."""
        return Options(**{**vars(self), **changes})

    @property
    def window(self) -> tuple[int, int]:
        """The first log time and the one behind the last."""
        return self.start or 0, FOREVER + 1 if self.end is None else self.end

    def wants(self, topic: str) -> bool:
        """Whether messages of this topic shall be converted."""
        return not self.topics or any(fnmatchcase(topic, glob) for glob in self.topics)

    def described(self) -> dict[str, Any]:
        """What the manifest says about choices that change the results; empty if none was made."""
        chosen = {name: value for name, value in vars(self).items() if value != getattr(DEFAULT, name)}
        chosen.pop("workers", None)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()}


DEFAULT = Options()
