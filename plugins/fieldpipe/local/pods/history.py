"""What became of pods, also of deleted ones: operators delete a pod as soon as it has ended, people ask afterwards."""

from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from fieldpipe.local.pods.selectors import parse_labels

REMEMBERED_PODS = 1000


@dataclass
class Trace:
    """One pod. Times are seconds since the epoch; None: not yet."""

    name: str
    uid: str
    labels: dict[str, str] = field(default_factory=dict)
    created: float | None = None
    started: float | None = None
    finished: float | None = None
    deleted: float | None = None
    exit_code: int | None = None


class History:
    """The last pods, oldest first. In memory: it begins anew with the server."""

    def __init__(self) -> None:
        self._traces: OrderedDict[str, Trace] = OrderedDict()

    def add(self, trace: Trace) -> None:
        """Begin to remember a pod."""
        self._traces[trace.uid] = trace
        if len(self._traces) > REMEMBERED_PODS:
            self._traces.popitem(last=False)

    def note(self, uid: str, **facts: Any) -> None:
        """Fill in what happened to a pod; one that is forgotten stays so."""
        if uid in self._traces:
            for name, value in facts.items():
                setattr(self._traces[uid], name, value)

    def select(self, labels: str) -> list[dict[str, Any]]:
        """Pods by label selector as JSON objects with times in RFC 3339. Raises Refusal when it cannot be read."""
        matches = parse_labels(labels)
        return [_as_json(trace) for trace in self._traces.values() if matches(trace.labels)]


def _as_json(trace: Trace) -> dict[str, Any]:
    return {
        name: datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds") if type(value) is float else value
        for name, value in asdict(trace).items()
    }
