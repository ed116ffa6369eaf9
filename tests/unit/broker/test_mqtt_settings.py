"""Settings of the MQTT entrance."""

import pytest

from fieldpipe.broker.entrances.mqttsettings import MqttSettings
from fieldpipe.errors import ConfigurationError
from fieldpipe.settings import read


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRKNC_MQTT_HOST", "mosquitto")


def test_a_host_is_enough() -> None:
    settings = MqttSettings()

    assert (settings.real_port, settings.topics, settings.client_id) == (1883, ("kraken",), "fieldpipe-broker")


@pytest.mark.parametrize(
    ("variables", "port"), [({"TLS": "1"}, 8883), ({"TLS": "1", "PORT": "9"}, 9), ({"PORT": "9"}, 9)]
)
def test_the_port_is_the_usual_one_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], port: int
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"KRKNC_MQTT_{name}", value)

    assert MqttSettings().real_port == port


@pytest.mark.parametrize("topic", ["a", "a/b", "#", "+", "a/+/b/#", "/", "$share/group/a/#", "a b"])
def test_topics(monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
    monkeypatch.setenv("KRKNC_MQTT_TOPIC", f"{topic} , b/#")

    assert MqttSettings().topics == (topic, "b/#")


@pytest.mark.parametrize("topic", ["", "a,", "a#", "a/#/b", "a+/b", "#/a", "++"])
def test_what_is_no_topic_is_told(monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
    monkeypatch.setenv("KRKNC_MQTT_TOPIC", topic)

    with pytest.raises(ConfigurationError, match=r"KRKNC_MQTT_TOPIC: .* is no topic filter"):
        read(MqttSettings)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"CERT": "x", "TLS": "1"}, "KRKNC_MQTT_CERT and KRKNC_MQTT_KEY belong together"),
        ({"PASSWORD": "x"}, "KRKNC_MQTT_PASSWORD takes a KRKNC_MQTT_USER"),
        ({"CA": "x"}, "KRKNC_MQTT_CA and KRKNC_MQTT_CERT take KRKNC_MQTT_TLS=1"),
        ({"PORT": "0"}, "KRKNC_MQTT_PORT"),
    ],
)
def test_half_a_configuration_is_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], complaint: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"KRKNC_MQTT_{name}", value)

    with pytest.raises(ConfigurationError, match=complaint):
        read(MqttSettings)
