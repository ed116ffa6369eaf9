"""What a rule says when it is broken."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fieldpipe.deploy.fields import Object
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.pods import Container, Workload


@dataclass(frozen=True)
class Fault:
    """One fault of one object: what is wrong, and by the wording what to do."""

    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.about}: {self.text}"


Rule = Callable[[Manifests], Iterator[Fault]]


def fault(about: Object | Workload, text: str, container: Container | None = None) -> Fault:
    """A fault of an object, or of one container of its pods."""
    return Fault(f"{about}, container {container.name}" if container else str(about), text)
