"""The broker's own settings; those of a sink are in the sink's file.

The names are those of the document the project was created from. `.env.example` lists all of them.
"""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024


class BrokerSettings(BaseSettings):
    """How the broker is spoken to, and where it keeps what it has not delivered yet."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="KRAKENB_")

    debug: bool = False  # 1: more lines in the log
    grpc_host: str = "[::]:50051"
    max_message_bytes: int = Field(default=16 * MIB, ge=1024)
    deadline_seconds: float = Field(default=30, gt=0)  # for all handlers of a reading together
    tls_cert: Path | None = None  # with its key: TLS
    tls_key: Path | None = None
    tls_client_ca: Path | None = None  # clients have to show a certificate of this one: mutual TLS
    token: SecretStr | None = Field(default=None, min_length=1)  # clients send `authorization: Bearer <token>`
    spool: Path = Path("broker-spool")  # a folder on a disk that keeps what is written
    spool_bytes: int = Field(default=1024 * MIB, ge=MIB)  # of readings that are not delivered, dead letters too
    spool_days: float = Field(default=7, gt=0)  # undelivered for longer: a dead letter
    routes: Path | None = None  # a YAML file: which readings go to which sinks; without: every reading to every sink
    handlers: Path | None = None  # a folder of Python files with handlers
    metrics_host: str = "127.0.0.1:9464"  # /metrics for Prometheus; empty: none
