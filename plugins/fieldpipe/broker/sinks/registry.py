"""Which sinks there are, and which of them are switched on: one variable each, the one without which it cannot be.

A module of a sink has `GROUPS`, its groups of settings, and `open_sink`, which takes them. It is imported when the sink
is on, so that a small machine does not carry the clients of databases that it does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from fieldpipe import logs
from fieldpipe.broker.sinks.sink import Sink
from fieldpipe.errors import ConfigurationError
from fieldpipe.settings import read

SWITCHES: Mapping[str, tuple[str, ...]] = {
    "bucket": ("KRAKENB_BUCKET",),
    "influxdb": ("KRAKENB_INFLUXDB_HOST",),
    "influxdb1": ("KRAKENB_INFLUXDB1_HOST",),
    "mongodb": ("KRAKENB_MONGODB_HOST", "KRAKENB_MONGODB_URI"),
    "redis": ("KRAKENB_REDIS_HOST",),
    "slack": ("KRAKENB_SLACK_URL",),
    "webhook": ("KRAKENB_WEBHOOK_URL",),
    "websocket": ("KRAKENB_WEBSOCKET_URL",),
}
"""By the name of a sink, which is that of its module: any of these variables switches it on."""

log = logs.get(__name__)


def open_sinks(environment: Mapping[str, str]) -> list[Sink]:
    """Those that are switched on. Nothing is sent yet. Raises ConfigurationError with the mistakes of all of them."""
    sinks: list[Sink] = []
    complaints: list[str] = []
    for name, variables in SWITCHES.items():
        if not any(environment.get(variable) for variable in variables):
            log.info("sink_off", sink=name, switched_on_by=" or ".join(variables))
            continue
        module = import_module(f"{__package__}.{name}")
        try:
            sinks.append(module.open_sink(*read(*module.GROUPS)))
        except ConfigurationError as error:
            complaints.append(str(error))
    if complaints:
        for sink in sinks:
            sink.close()
        raise ConfigurationError("; ".join(complaints))
    return sinks
