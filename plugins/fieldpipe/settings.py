"""Settings of every process, as small frozen groups: an entry point reads what it needs once and hands it down.

The variables keep the names of the documents the project was created from. `.env.example` lists all of them.
"""

from pathlib import Path
from typing import Literal, TypeVar, overload
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from fieldpipe.errors import ConfigurationError

A = TypeVar("A", bound=BaseSettings)
B = TypeVar("B", bound=BaseSettings)
C = TypeVar("C", bound=BaseSettings)
D = TypeVar("D", bound=BaseSettings)


class StoreSettings(BaseSettings):
    """Where the object store is and who we are to it."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="MINIO_")

    endpoint: str  # with scheme: http://minio:9000
    access_key: str
    secret_key: SecretStr
    region: str = "us-east-1"


class BucketSettings(BaseSettings):
    """Where results go, and, in a cluster, the logs of Airflow's tasks."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="FIELDPIPE_")

    processed_bucket: str = "processed-data"
    log_bucket: str | None = Field(default=None, min_length=3)


class LedgerSettings(BaseSettings):
    """The ledger's database, as a SQLAlchemy URL (`postgresql+psycopg2://...`)."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="FIELDPIPE_LEDGER_")

    url: SecretStr


class AirflowSettings(BaseSettings):
    """Airflow's REST API and the account that triggers runs."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="AIRFLOW_")

    base_url: str
    user: str
    password: SecretStr


class DispatchSettings(BaseSettings):
    """How a dispatcher works."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="FIELDPIPE_DISPATCH_")

    lease_seconds: float = Field(default=15, gt=0)  # how long a killed dispatcher's run waits for another


class WebhookSettings(BaseSettings):
    """How the webhook is spoken to. Two tokens may be valid at once, so that one can be rotated."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="WEBHOOK_")

    url: str = "http://127.0.0.1:5000/minio-event"
    bind: str = "127.0.0.1:5000"
    workers: int = Field(default=2, ge=1)
    auth_token: SecretStr | None = Field(default=None, min_length=1)
    auth_token_previous: SecretStr | None = Field(default=None, min_length=1)
    arn: str = "arn:minio:sqs::PRIMARY:webhook"  # as MinIO's MINIO_NOTIFY_WEBHOOK_*_PRIMARY defines it


class RouteSettings(BaseSettings):
    """Which file says what is done with which objects (None: the one that comes with the library)."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="FIELDPIPE_ROUTES_")

    file: Path | None = Field(default=None)


class KafkaSettings(BaseSettings):
    """Kafka, as a client sees it. Without brokers there are no cameras."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="KAFKA_")

    brokers: str = ""  # host:port, separated by commas
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: Path | None = None


class ConnectSettings(BaseSettings):
    """The REST API of Kafka Connect, where its sinks store cameras instead of our backup."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CONNECT_")

    url: str = "http://localhost:8083"


class CameraSettings(BaseSettings):
    """Which topics are backed up, and how their objects look."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CAMERA_")

    topics: str = ""  # as `split_topics` takes them
    bucket: str = Field(default="picamera", min_length=3)  # exists already
    zone: str = "Asia/Tokyo"  # of the hours in the keys
    timestamps: bool = True
    timestamp_format: Literal["sink", "rfc3339"] = "sink"
    extensions: str = ""  # where it is not .jpg: topic=.json, separated by commas
    schedule: str = "*/5 * * * *"
    pods: int = Field(default=1, ge=1, le=64)  # that the partitions are spread over
    keys: SecretStr | None = None  # for encrypted messages: version=key in base64, separated by commas
    password: SecretStr | None = None  # for messages that are encrypted with a password


def split_topics(text: str) -> tuple[str, ...]:
    """The topics of a list with commas, without blanks."""
    return tuple(topic for topic in map(str.strip, text.split(",")) if topic)


class EtcdSettings(BaseSettings):
    """The etcd that devices and pods are described in. Without a host there is no sentinel."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="MY_ETCD_")

    host: str = ""
    port: int = Field(default=2379, ge=1, le=65535)
    user: str | None = None
    password: SecretStr | None = None
    ca: Path | None = None  # of the server's certificate: TLS
    cert: Path | None = None  # ours, with its key: mutual TLS
    key: Path | None = None
    silence_seconds: float = Field(default=15, gt=0)  # without a word from the server before we connect again


class MysqlSettings(BaseSettings):
    """The server that the mirror is kept on."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="MY_MYSQL_")

    host: str = ""
    port: int = Field(default=3306, ge=1, le=65535)
    user: str = "root"
    password: SecretStr = SecretStr("")


class SentinelSettings(BaseSettings):
    """How the mirror is kept and audited."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="SENTINEL_")

    url: SecretStr | None = None  # of the database, as SQLAlchemy writes it; else that of MY_MYSQL_HOST
    deletes: Literal["keep", "mark", "remove"] = "mark"
    schedule: str = "*/15 * * * *"  # of the audit
    drift: int = Field(default=0, ge=0)  # rows that may differ before the audit fails
    # That the writers' clocks show. Made when it is asked for: images that do not need it have no time zones.
    zone: ZoneInfo = Field(default_factory=lambda: ZoneInfo("Asia/Tokyo"))
    heartbeat_seconds: float = Field(default=120, gt=0)  # how old a device's updateAt may be
    history_days: int = Field(default=90, ge=1)


class IntervalSettings(BaseSettings):
    """How often the mirror is compared with a whole listing, in seconds: the smaller of the two, as there is one."""

    model_config = SettingsConfigDict(frozen=True)

    device_interval: float = Field(default=30, gt=0)
    pod_interval: float = Field(default=5, gt=0)


_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|[kMGT]|[KMGT]i)?$"  # as Kubernetes writes amounts: 250m, 512Mi


class PodSettings(BaseSettings):
    """What the pods of our tasks are made of."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="FIELDPIPE_POD_")

    namespace: str = "fieldpipe"
    image: str = "fieldpipe-worker:local"
    service_account: str = "fieldpipe-worker"
    cpu: str = Field(default="100m", pattern=_QUANTITY)  # reserved; more is taken where it is free
    memory: str = Field(default="512Mi", pattern=_QUANTITY)  # reserved, and the limit; a conversion takes 200 MB
    scratch: str = Field(default="20Gi", pattern=_QUANTITY)  # of /tmp at most, where a conversion's tables grow


@overload
def read(first: type[A], /) -> tuple[A]: ...
@overload
def read(first: type[A], second: type[B], /) -> tuple[A, B]: ...
@overload
def read(first: type[A], second: type[B], third: type[C], /) -> tuple[A, B, C]: ...
@overload
def read(first: type[A], second: type[B], third: type[C], fourth: type[D], /) -> tuple[A, B, C, D]: ...
@overload
def read(*groups: type[BaseSettings]) -> tuple[BaseSettings, ...]: ...
def read(*groups: type[BaseSettings]) -> tuple[BaseSettings, ...]:
    """Read the groups from the environment; raise one ConfigurationError that names every missing or wrong variable."""
    values: list[BaseSettings] = []
    complaints: list[str] = []
    for group in groups:
        try:
            values.append(group())
        except ValidationError as error:
            prefix = group.model_config.get("env_prefix", "")
            complaints += [f"{prefix}{'_'.join(map(str, e['loc']))}".upper() + f": {e['msg']}" for e in error.errors()]
    if complaints:
        raise ConfigurationError("settings: " + "; ".join(complaints) + " (see .env.example)")
    return tuple(values)
