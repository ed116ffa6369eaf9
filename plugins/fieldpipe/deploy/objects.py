"""All objects of an overlay as the rules read them: by kind and name, with the pods that workloads make."""

import re
from collections.abc import Sequence

import yaml

from fieldpipe.deploy.fields import Data, Object, contents, matches
from fieldpipe.deploy.pods import Container, Variable, Workload, workload


class Manifests:
    """All objects of an overlay."""

    def __init__(self, objects: Sequence[Data]) -> None:
        self.objects = [Object(each) for each in objects]
        self.workloads = [found for each in self.objects if (found := workload(each))]

    def of(self, *kinds: str) -> list[Object]:
        """All objects of these kinds."""
        return [each for each in self.objects if each.kind in kinds]

    def get(self, kind: str, name: str) -> Object | None:
        """The object of this kind and name."""
        return next((each for each in self.objects if each.kind == kind and each.name == name), None)

    def selected(self, selector: Data | None) -> list[Workload]:
        """The workloads whose pods a LabelSelector matches."""
        return [each for each in self.workloads if matches(selector or {}, each.labels)]

    def environment(self, container: Container) -> dict[str, Variable]:
        """All variables of a container by name, those of whole ConfigMaps and Secrets included."""
        whole = {
            key: Variable(key, None if source.kind == "Secret" else value, source if source.kind == "Secret" else None)
            for source in container.whole
            if (found := self.get(source.kind, source.name))
            for key, value in contents(found).items()
        }
        return whole | {variable.name: variable for variable in container.variables}


def parse(text: str) -> Manifests:
    """Read what kustomize printed."""
    return Manifests([each for each in yaml.load_all(text, Loader=_Loader) if each])


class _Loader(yaml.CSafeLoader):
    """Reads `y` and `n` as booleans too, as the YAML library of kubectl does and PyYAML does not."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
_Loader.bool_values = yaml.CSafeLoader.bool_values | {"y": True, "n": False}
