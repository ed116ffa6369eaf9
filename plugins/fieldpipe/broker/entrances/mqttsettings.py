"""Settings of the MQTT entrance."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fieldpipe.broker.settings import MIB


class MqttSettings(BaseSettings):
    """The server, and who we are to it: the session is the client id's, so two brokers need two."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="KRKNC_MQTT_")

    host: str
    port: int | None = Field(default=None, ge=1, le=65535)  # 1883, with TLS 8883
    topic: str = "kraken"  # with wildcards; several with commas
    client_id: str = Field(default="fieldpipe-broker", min_length=1)
    user: str | None = Field(default=None, min_length=1)
    password: SecretStr | None = None
    tls: bool = False
    ca: Path | None = None  # None: those that the system trusts
    cert: Path | None = None  # ours, with its key
    key: Path | None = None
    max_bytes: int = Field(default=16 * MIB, ge=1024)  # of a payload

    @property
    def real_port(self) -> int:
        """The one that was set, or the usual one."""
        return self.port or (8883 if self.tls else 1883)

    @property
    def topics(self) -> tuple[str, ...]:
        """Each by itself."""
        return tuple(topic.strip() for topic in self.topic.split(","))

    @field_validator("topic")
    @classmethod
    def _wildcards_are_whole_levels(cls, topic: str) -> str:
        for one in topic.split(","):
            *before, last = one.strip().split("/")
            wild = [level for level in (*before, last) if level not in ("+", "#") and set(level) & {"+", "#"}]
            if not one.strip() or wild or "#" in before:
                raise ValueError(f"{one.strip()!r} is no topic filter: `+` is a whole level, `#` the whole last one")
        return topic

    @model_validator(mode="after")
    def _halves_are_whole(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("KRKNC_MQTT_CERT and KRKNC_MQTT_KEY belong together")
        if self.password and not self.user:
            raise ValueError("KRKNC_MQTT_PASSWORD takes a KRKNC_MQTT_USER")
        if (self.ca or self.cert) and not self.tls:
            raise ValueError("KRKNC_MQTT_CA and KRKNC_MQTT_CERT take KRKNC_MQTT_TLS=1")
        return self
