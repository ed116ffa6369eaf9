"""The sentinel is on as a whole, or off: where etcd and MySQL are, who follows the one, and the ways to both."""

from collections.abc import Iterator

from fieldpipe.deploy.fields import Object, contents
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.rules.fault import Fault, fault
from fieldpipe.deploy.rules.settings import PLACEHOLDER, UNHASHED

NEEDED = ("MY_ETCD_HOST", "MY_MYSQL_HOST")
WATCHER = "sentinel"


def sentinel_is_whole(manifests: Manifests) -> Iterator[Fault]:
    """Who switches the sentinel on says where etcd and MySQL are, and takes the component that keeps the mirror."""
    config = manifests.get("ConfigMap", UNHASHED)
    values = {name: str(contents(config).get(name) or "") for name in NEEDED} if config else {}
    watcher = manifests.get("Deployment", WATCHER)
    if config and (watcher or values["MY_ETCD_HOST"]):
        yield from _incomplete(config, values)
        if watcher is None:
            yield fault(config, "has the sentinel on, and nobody follows etcd: take components/sentinel")


def _incomplete(config: Object, values: dict[str, str]) -> Iterator[Fault]:
    for name, value in values.items():
        if not value:
            yield fault(config, f"{name} is not set, and the sentinel is on: the overlay's config.env")
        elif PLACEHOLDER.search(value):
            yield fault(config, f"{name} is {value}, which stands for yours")
        elif "/" in value or ":" in value:
            yield fault(config, f"{name} is {value}, not the name of a host: its port has a variable of its own")
