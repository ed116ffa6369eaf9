"""Every variable is one that somebody reads, and every program of ours gets the settings that it needs."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from pydantic_settings import BaseSettings

from fieldpipe import settings
from fieldpipe.deploy.fields import at, contents
from fieldpipe.deploy.objects import Manifests
from fieldpipe.deploy.pods import Container, Workload
from fieldpipe.deploy.rules.fault import Fault, fault
from fieldpipe.settings import (
    AirflowSettings,
    BucketSettings,
    CameraSettings,
    ConnectSettings,
    DispatchSettings,
    EtcdSettings,
    IntervalSettings,
    KafkaSettings,
    LedgerSettings,
    MysqlSettings,
    PodSettings,
    RouteSettings,
    SentinelSettings,
    StoreSettings,
    WebhookSettings,
)

UNHASHED, HASHED = "pipeline-config", "pipeline-settings"
PLACEHOLDER = re.compile(r"\bexample\.(com|net|org)\b|[<>]|change-?me", re.IGNORECASE)  # in a value that is no one's

PROGRAMS: Mapping[str, tuple[type[BaseSettings], ...]] = MappingProxyType(
    {
        "scripts.audit_sentinel": (BucketSettings, EtcdSettings, MysqlSettings, SentinelSettings, StoreSettings),
        "scripts.backup_camera": (CameraSettings, KafkaSettings, StoreSettings),
        "scripts.close_frame_hours": (BucketSettings, CameraSettings, StoreSettings),
        "scripts.connect_sinks": (CameraSettings, ConnectSettings, KafkaSettings, StoreSettings),
        "scripts.convert_recording": (StoreSettings, BucketSettings),
        "scripts.dispatch_events": (
            AirflowSettings,
            BucketSettings,
            DispatchSettings,
            LedgerSettings,
            RouteSettings,
            StoreSettings,
        ),
        "scripts.generate_recording": (StoreSettings,),
        "scripts.index_frames": (BucketSettings, CameraSettings, StoreSettings),
        "scripts.ledger": (BucketSettings, LedgerSettings, RouteSettings),
        "scripts.serve_broker": (StoreSettings,),  # its own are in its room, and in ConfigMaps and Secrets of its own
        "scripts.setup_events": (BucketSettings, RouteSettings, StoreSettings, WebhookSettings),
        "scripts.sync_events": (BucketSettings, LedgerSettings, RouteSettings, StoreSettings, WebhookSettings),
        "scripts.watch_sentinel": (EtcdSettings, IntervalSettings, MysqlSettings, SentinelSettings),
        "webhook.wsgi:app": (BucketSettings, LedgerSettings, RouteSettings, WebhookSettings),
        "airflow": (  # its DAGs
            BucketSettings,
            CameraSettings,
            EtcdSettings,
            KafkaSettings,
            PodSettings,
            RouteSettings,
            SentinelSettings,
        ),
    }
)
"""What our programs read, by the word of a command that tells them apart. A test holds this against their code."""

# Variables that containers have and do not use; by the names of those that do.
_USED_BY = {
    "AIRFLOW__CELERY__BROKER_URL": ("scheduler", "worker"),
    "AIRFLOW_CONN_MINIO_DEFAULT": ("api-server", "triggerer", "worker"),  # logs of tasks
    "WEBHOOK_URL": ("event-sync",),
}

DAG_READERS = ("dag-processor", "scheduler", "triggerer", "worker")  # containers that import DAG files

# What the programs of others read, by a part of the image's name.
_OTHERS = {
    "airflow": r"AIRFLOW__[A-Z0-9_]+__[A-Z0-9_]+|AIRFLOW_(HOME|CONN_[A-Z0-9_]+|VAR_[A-Z0-9_]+)|AWS_[A-Z0-9_]+|"
    r"FORWARDED_ALLOW_IPS",
    "minio": r"MINIO_(ROOT_USER|ROOT_PASSWORD|BROWSER\w*|SCANNER_\w+|API_\w+|PROMETHEUS_AUTH_TYPE|UPDATE|CALLHOME_\w+)|"
    r"MINIO_NOTIFY_WEBHOOK_(ENABLE|ENDPOINT|AUTH_TOKEN|QUEUE_DIR|QUEUE_LIMIT|CLIENT_CERT|CLIENT_KEY)_[A-Z0-9_]+",
    "fieldpipe-worker": r"SS_[A-Z0-9_]+|PICAMERA2_[A-Z0-9_]+|SCHEDULE|CAMERA_(SOURCE|SPOOL\w*)",  # of a sensor
    "mariadb": r"MARIADB_(ROOT_PASSWORD|USER|PASSWORD)",
    "fieldpipe-broker": r"(KRAKENB|KRKNC)_[A-Z0-9_]+",
    "kafka": r"KAFKA_(HEAP_OPTS|LOG4J_OPTS|OPTS)|EXTRA_ARGS|LOG_DIR",
    "postgres": r"POSTGRES_(USER|PASSWORD|DB|INITDB_ARGS)|PG[A-Z]+",
    "redis": r"REDIS(CLI_AUTH|_PASSWORD)",
}
_EVERYBODYS = r"HOME|TMPDIR|TZ|LANG|PYTHON[A-Z]+|FIELDPIPE_(RUN|TRY|WORK)"


def programs(container: Container) -> list[str]:
    """Which of our programs a container runs."""
    if "airflow" in container.words:
        return ["airflow"] if container.name in DAG_READERS else []
    return [name for name in PROGRAMS if name in container.words]


def variables_of(group: type[BaseSettings]) -> dict[str, bool]:
    """The variables of a group of settings by name, and whether they are required."""
    prefix = group.model_config.get("env_prefix", "")
    return {f"{prefix}{name}".upper(): field.is_required() for name, field in group.model_fields.items()}


def is_used(variable: str, container: Container) -> bool:
    """Whether a container does something with a variable that it has: one of many of a ConfigMap says nothing.

    DAG files look at settings; it is the pods of their tasks that go there.
    """
    if variable in _USED_BY:
        return container.name in _USED_BY[variable]
    own = set(programs(container)) - {"airflow"}
    read = {name for program in own for group in PROGRAMS[program] for name in variables_of(group)}
    return variable in read or any(variable == listed.name for listed in container.variables)


def groups() -> list[type[BaseSettings]]:
    """All groups of settings that there are."""
    found = [each for each in vars(settings).values() if isinstance(each, type) and issubclass(each, BaseSettings)]
    return [each for each in found if each is not BaseSettings]


def secret_variables() -> set[str]:
    """Variables whose values are secrets."""
    return {
        name
        for group in groups()
        for name, field in zip(variables_of(group), group.model_fields.values(), strict=True)
        if "SecretStr" in str(field.annotation)
    }


def settings_are_supplied(manifests: Manifests) -> Iterator[Fault]:
    """Each program of ours gets every setting that it cannot do without."""
    for workload in manifests.workloads:
        for container in workload.containers:
            given = manifests.environment(container)
            for program in programs(container):
                for group in PROGRAMS[program]:
                    for name, required in variables_of(group).items():
                        if required and name not in given:
                            yield fault(workload, f"{program} needs {name} ({group.__name__})", container)
                if program == "airflow" and getattr(given.get("FIELDPIPE_POD_NAMESPACE"), "field", None) is None:
                    yield fault(workload, "FIELDPIPE_POD_NAMESPACE has to come from metadata.namespace", container)


def variables_are_known(manifests: Manifests) -> Iterator[Fault]:
    """Each variable is a setting of ours or one that the image's program is known to read."""
    ours = {name for group in groups() for name in variables_of(group)}
    for config in (each for each in manifests.of("ConfigMap") if each.name.startswith((UNHASHED, HASHED))):
        for name in set(config.data.get("data") or {}) - ours:
            yield fault(config, f"{name} is no setting of plugins/fieldpipe/settings.py")
        for name in set(config.data.get("data") or {}) & secret_variables():
            yield fault(config, f"{name} is a secret: take it from a Secret")
    for workload in manifests.workloads:
        for container in workload.containers:
            image = container.image.rpartition("/")[2]
            patterns = [_EVERYBODYS, *(pattern for part, pattern in _OTHERS.items() if part in image)]
            scripts = "\n".join([*map(str, container.words), *_mounted(manifests, workload)])
            for name in (variable.name for variable in container.variables):
                known = name in ours or any(re.fullmatch(pattern, name) for pattern in patterns)
                if not known and name not in scripts:
                    yield fault(workload, f"nobody reads {name}", container)


def values_are_texts(manifests: Manifests) -> Iterator[Fault]:
    """Values of variables, of ConfigMaps, labels and annotations are quoted: `on`, `y` and 1 are no texts in YAML."""
    for each in manifests.objects:
        for part in ("labels", "annotations"):
            yield from _texts(each, part, each.metadata.get(part))
        if each.kind in ("ConfigMap", "Secret"):
            yield from _texts(each, "data", each.data.get("data"))
    for workload in manifests.workloads:
        for part in ("labels", "annotations"):
            yield from _texts(workload, f"the pods' {part}", workload.template.metadata.get(part))
        for container in workload.containers:
            values = {each.name: each.value for each in container.variables if each.value is not None}
            yield from _texts(workload, f"container {container.name}, env", values)
            words = {str(number): word for number, word in enumerate(container.words)}
            yield from _texts(workload, f"container {container.name}, command", words)


def both_say_the_same(manifests: Manifests) -> Iterator[Fault]:
    """The settings under the fixed name and under the hashed one are the same."""
    fixed = manifests.get("ConfigMap", UNHASHED)
    hashed = [each for each in manifests.of("ConfigMap") if each.name.startswith(f"{HASHED}-")]
    if fixed is None or len(hashed) != 1:
        yield Fault(f"ConfigMap {UNHASHED}", f"there is not one of it and one {HASHED}-<hash>")
    elif fixed.data.get("data") != hashed[0].data.get("data"):
        different = set((fixed.data.get("data") or {}).items()) ^ set((hashed[0].data.get("data") or {}).items())
        yield fault(fixed, f"differs from {hashed[0].name}: {', '.join(sorted({name for name, _ in different}))}")


def _mounted(manifests: Manifests, workload: Workload) -> Iterator[str]:
    """The texts of ConfigMaps that are mounted into the pods: scripts may be among them."""
    for volume in workload.spec.get("volumes") or ():
        if source := manifests.get("ConfigMap", at(volume, "configMap", "name") or ""):
            yield from map(str, contents(source).values())


def _texts(about: object, place: str, values: object) -> Iterator[Fault]:
    for name, value in values.items() if isinstance(values, dict) else ():
        if not isinstance(value, str):
            yield Fault(str(about), f"{place}: {name} is {value!r}, not a text: quote it")
