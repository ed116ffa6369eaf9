"""The files for a small machine say what the broker understands."""

import re
from pathlib import Path

from fieldpipe.broker.settings import BrokerSettings

ROOT = Path(__file__).parents[3]
KNOWN = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M))


def test_the_example_names_variables_that_there_are() -> None:
    named = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / "edge/broker.env").read_text(), re.M))

    assert "KRAKENB_GRPC_HOST" in named
    assert named - KNOWN == set()


def test_the_service_of_systemd_starts_a_script_and_says_where_the_spool_is() -> None:
    unit = (ROOT / "edge/fieldpipe-broker.service").read_text()
    (script,) = re.findall(r"^ExecStart=\S+/python -m scripts\.(\w+)$", unit, re.M)
    (folder,) = re.findall(r"^StateDirectory=(\S+)$", unit, re.M)

    assert (ROOT / "scripts" / f"{script}.py").is_file()
    assert f"KRAKENB_SPOOL=/var/lib/{folder}" in unit
    assert "spool" in BrokerSettings.model_fields
