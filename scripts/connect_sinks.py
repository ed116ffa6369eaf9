"""Let Kafka Connect store cameras: its S3 sink for the images, and one for their times.

    python -m scripts.connect_sinks check    -t cam1,cam2 -b picamera
    python -m scripts.connect_sinks register -t cam1,cam2 -b picamera
    python -m scripts.connect_sinks register -D -n sink-s3-android -X .json --params params/01-android.yml
    python -m scripts.connect_sinks status
    python -m scripts.connect_sinks restart      # only what has failed
    python -m scripts.connect_sinks remove       # only our own; objects stay

The letters are those of setup-sink-minio.sh. What is not given comes from CAMERA_TOPICS, CAMERA_BUCKET, CAMERA_ZONE,
CAMERA_TIMESTAMPS, MINIO_ENDPOINT, MINIO_REGION and CONNECT_URL. The sinks know the store's keys by reference: the
worker looks them up in its own environment (MINIO_ACCESS_KEY, MINIO_SECRET_KEY), or where -A and -S say. Exit codes:
0 all is well; 1 something does not run (status); 65 wrong, or the connector is somebody else's; 75 try again later.
"""

import argparse
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from fieldpipe import errors
from fieldpipe.cameras.connect import Kind, Sink, checked_topics, is_reference, topics_of
from fieldpipe.cameras.connect_checks import Finding, check
from fieldpipe.cameras.connect_rest import Connect, Status
from fieldpipe.cameras.connect_sinks import await_running, register, remove
from fieldpipe.errors import ConfigurationError, PermanentError
from fieldpipe.settings import CameraSettings, ConnectSettings, KafkaSettings, StoreSettings, read, split_topics
from fieldpipe.store import ObjectStore

PREFIX = "sink-s3-picamera"
ORIGINAL = {"image": "sink-minio-data", "timestamp": "sink-minio-timestamp"}  # names of the original, without -n
ACCESS, SECRET = "${env:MINIO_ACCESS_KEY}", "${env:MINIO_SECRET_KEY}"
ACCESS_VARIABLES = ("ACCESS_KEY", "AWS_ACCESS_KEY_ID")
SECRET_VARIABLES = ("SECRET_KEY", "AWS_SECRET_KEY", "AWS_SECRET_ACCESS_KEY")


def main() -> int:
    """Read the command line and do what it says."""
    parser = command_line()
    given = parser.parse_args()
    cameras, settings, kafka = read(CameraSettings, ConnectSettings, KafkaSettings)
    kinds = chosen_kinds(given, cameras)
    if given.name and len(kinds) > 1:
        parser.error("-n names one sink: give -D or -T as well, or --prefix instead")
    connect = Connect(ConnectSettings(url=given.connect) if given.connect else settings)
    errors.patiently(connect.version, given.wait)
    if given.action in ("status", "restart"):
        names = [sink_name(given, kind) for kind in kinds]
        return show_status(connect, names) if given.action == "status" else restart(connect, names, given.wait)
    (store,) = read(StoreSettings)
    sinks = [make_sink(given, kind, cameras, store) for kind in kinds]
    if given.action == "remove":
        return take_away(connect, sinks)
    ours = ObjectStore.connect(store) if sinks[0].endpoint == store.endpoint else None
    look(check(connect, sinks, ours, kafka))
    return put_up(connect, sinks, given.wait) if given.action == "register" else 0


def command_line() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(
        prog="scripts.connect_sinks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    actions = ("register", "check", "status", "restart", "remove")
    add("action", nargs="?", default="register", choices=actions, help="what to do (default: register)")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("-D", dest="kind", action="store_const", const="image", help="only the sink for images")
    one.add_argument("-T", dest="kind", action="store_const", const="timestamp", help="only the sink for times")
    one.add_argument("--timestamps", action=argparse.BooleanOptionalAction, help="whether to have the sink for times")
    add("--prefix", help=f"PREFIX-image and PREFIX-timestamp are the sinks' names (default {PREFIX})")
    add("-n", dest="name", help=f"the name of the one sink (default {' or '.join(ORIGINAL.values())})")
    add("-t", "--topics", dest="topics", metavar="TOPICS", help="separated by commas (default CAMERA_TOPICS)")
    add("--params", type=Path, metavar="FILE", help="take the topics from a file of the original's params folder")
    add("-b", "--bucket", dest="bucket", help="exists already (default CAMERA_BUCKET)")
    add("-u", dest="endpoint", metavar="URL", help="the object store, as the worker sees it (default MINIO_ENDPOINT)")
    add("-R", dest="region", help="of the object store (default MINIO_REGION)")
    add("-X", dest="extension", help="of the images; with -T of the times (default .jpg, -timestamp.txt)")
    add("-A", dest="access_key", metavar="REFERENCE", help=f"to the access key (default {ACCESS})")
    add("-S", dest="secret_key", metavar="REFERENCE", help=f"to the secret key (default {SECRET})")
    add("--tasks", type=int, default=1, metavar="N", help="of each sink, which share the partitions (default 1)")
    add("--plain-credentials", action="store_true", help="put the keys into the configuration, where all can read them")
    add("--dead-letter-topic", default="", metavar="TOPIC", help="where bad messages go, instead of stopping the sink")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--connect", metavar="URL", help="Kafka Connect's REST API (default CONNECT_URL)")
    where.add_argument("-P", dest="connect", type="http://localhost:{}".format, metavar="PORT", help="the same, here")
    add("--wait", type=float, default=60, metavar="SECONDS", help="for the worker, and for sinks to run (default 60)")
    return parser


def chosen_kinds(given: argparse.Namespace, cameras: CameraSettings) -> list[Kind]:
    """Which sinks it is about."""
    if given.kind:
        return [given.kind]
    both = cameras.timestamps if given.timestamps is None else given.timestamps
    return ["image", "timestamp"] if both else ["image"]


def sink_name(given: argparse.Namespace, kind: Kind) -> str:
    """What a sink is called; one alone, by -D or -T, as in the original."""
    if given.name or (given.kind and not given.prefix):
        return given.name or ORIGINAL[kind]
    return f"{given.prefix or PREFIX}-{kind}"


def make_sink(given: argparse.Namespace, kind: Kind, cameras: CameraSettings, store: StoreSettings) -> Sink:
    """The sink that was asked for. Raises ConfigurationError."""
    topics = read_parameters(given.params) if given.params else split_topics(given.topics or cameras.topics)
    is_chosen = kind == (given.kind or "image")
    return Sink(
        name=sink_name(given, kind),
        kind=kind,
        topics=checked_topics(topics),
        bucket=given.bucket or cameras.bucket,
        endpoint=given.endpoint or store.endpoint,
        access_key=credential(given, "-A", given.access_key, ACCESS, ACCESS_VARIABLES),
        secret_key=credential(given, "-S", given.secret_key, SECRET, SECRET_VARIABLES),
        region=given.region or store.region,
        zone=cameras.zone,
        extension=(given.extension or "") if is_chosen else "",
        tasks=given.tasks,
        dead_letter_topic=given.dead_letter_topic,
    )


def credential(
    given: argparse.Namespace, letter: str, value: str | None, reference: str, variables: tuple[str, ...]
) -> str:
    """A reference; plain text only when that is asked for, then also from the original's variables."""
    if value and is_reference(value):
        return value
    if given.plain_credentials:
        found = value or next(filter(None, map(os.environ.get, variables)), None)
        if not found:
            raise ConfigurationError(f"no key: give it with {letter}, or in {', '.join(variables)}")
        return found
    if value:
        raise ConfigurationError(
            f"{letter} is no reference such as {reference}: as plain text, everybody who may ask Kafka Connect could "
            "read it. --plain-credentials does it all the same"
        )
    return reference


def read_parameters(file: Path) -> tuple[str, ...]:
    """The topics that a file of the original's names. Raises ConfigurationError."""
    try:
        import yaml
    except ImportError as error:  # as in the image of our pods
        raise ConfigurationError(
            "--params takes PyYAML, which is not installed here: name the topics with -t"
        ) from error
    try:
        return topics_of(yaml.safe_load(file.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"--params {file}: {error}") from error


def look(findings: Iterable[Finding]) -> None:
    """Print what was found. Raises PermanentError when something is wrong."""
    wrong = 0
    for finding in findings:
        print(f"{finding.verdict:<8} {finding.text}", flush=True)
        wrong += finding.verdict == "wrong"
    if wrong:
        raise PermanentError(f"{wrong} of these {'is' if wrong == 1 else 'are'} wrong")


def put_up(connect: Connect, sinks: list[Sink], seconds: float) -> int:
    """Register all, then see that they run."""
    for sink in sinks:
        outcome = errors.patiently(partial(register, connect, sink), seconds)
        print(f"connector {sink.name}: {outcome}", flush=True)
    for sink in sinks:
        show(await_running(connect, sink.name, seconds))
    return 0


def take_away(connect: Connect, sinks: list[Sink]) -> int:
    """Remove all that are there."""
    for sink in sinks:
        print(f"connector {sink.name}: {'removed' if remove(connect, sink) else 'there was none'}", flush=True)
    return 0


def show_status(connect: Connect, names: list[str]) -> int:
    """Print how they are; returns the exit code."""
    found = {name: connect.status(name) for name in names}
    for name, status in found.items():
        if status is None:
            print(f"{name}: not registered")
        else:
            show(status)
    return 0 if all(status is not None and status.is_running for status in found.values()) else 1


def restart(connect: Connect, names: list[str], seconds: float) -> int:
    """Start anew what has failed, and see that it runs."""
    for name in names:
        connect.restart(name)
    for name in names:
        show(await_running(connect, name, seconds))
    return 0


def show(status: Status) -> None:
    """Print a connector and its tasks."""
    for part in status.parts:
        print(f"{part.name:<32} {part.state:<10} {part.worker}  {part.reason}".rstrip(), flush=True)


if __name__ == "__main__":
    errors.run(main)
