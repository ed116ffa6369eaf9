"""Which ways in there are beside gRPC, and which variable switches each of them on.

A module of an entrance has `GROUPS`, its groups of settings, and `open_entrance`, which takes what takes readings, and
them. As those of sinks it is imported when it is on.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from fieldpipe import logs
from fieldpipe.broker.entrances.entrance import Entrance, Take
from fieldpipe.errors import ConfigurationError
from fieldpipe.settings import read

SWITCHES: Mapping[str, str] = {"http": "KRKNC_WEBHOOK_PATH", "mqtt": "KRKNC_MQTT_HOST"}
"""By the name of its module."""

log = logs.get(__name__)


def open_entrances(environment: Mapping[str, str], take: Take) -> list[Entrance]:
    """Those that are switched on, not started. Raises ConfigurationError with the mistakes of all of them."""
    entrances: list[Entrance] = []
    complaints: list[str] = []
    for name, variable in SWITCHES.items():
        if not environment.get(variable):
            log.info("entrance_off", entrance=name, switched_on_by=variable)
            continue
        module = import_module(f"{__package__}.{name}")
        try:
            entrances.append(module.open_entrance(take, *read(*module.GROUPS)))
        except ConfigurationError as error:
            complaints.append(str(error))
    if complaints:
        raise ConfigurationError("; ".join(complaints))
    return entrances
