"""The sinks' configurations are those that setup-sink-minio.sh sends (rows A-S9, A-S11, A-S12)."""

from typing import Any

import pytest

from fieldpipe.cameras.connect import Sink, checked_topics, is_reference, topics_of
from fieldpipe.errors import ConfigurationError
from fieldpipe.settings import CameraSettings, StoreSettings
from scripts import connect_sinks

COMMON = {  # as the original has them; the worker makes texts of numbers
    "connector.class": "io.confluent.connect.s3.S3SinkConnector",
    "value.converter": "jp.ad.sinet.sinetstream.connect.converters.SinetStreamConverter",
    "format.class": "io.confluent.connect.s3.format.bytearray.ByteArrayFormat",
    "storage.class": "io.confluent.connect.s3.storage.S3Storage",
    "tasks.max": "1",
    "flush.size": "1",
    "format.bytearray.separator": "",
    "partitioner.class": "io.confluent.connect.storage.partitioner.TimeBasedPartitioner",
    "path.format": "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH",
    "partition.duration.ms": "3600000",
    "timestamp.extractor": "Record",
    "locale": "C",
    "timezone": "Asia/Tokyo",
    "s3.region": "us-east-1",
    "s3.bucket.name": "picamera",
    "topics": "cam1,cam2",
    "store.url": "http://minio:9000",
    "aws.access.key.id": "AKEY",
    "aws.secret.access.key": "SKEY",
}
DATA = {
    "group.id": "sink-minio-data",
    "transforms": "ExtractField,ByteArrayCast",
    "transforms.ExtractField.type": "org.apache.kafka.connect.transforms.ExtractField$Value",
    "transforms.ExtractField.field": "msg",
    "transforms.ByteArrayCast.type": "jp.ad.sinet.sinetstream.connect.transforms.ByteArrayCast$Value",
    "format.bytearray.extension": ".jpg",
}
TIMESTAMP = {
    "group.id": "sink-minio-timestamp",
    "transforms": "Timestamp,ExtractField,ByteArrayCast",
    "transforms.Timestamp.type": "jp.ad.sinet.sinetstream.connect.transforms.MicrosecondTimestampConverter$Value",
    "transforms.Timestamp.field": "tstamp",
    "transforms.Timestamp.format": "yyyy-MM-dd'T'HH:mm:ss.SSS",
    "transforms.Timestamp.target.type": "string",
    "transforms.ExtractField.type": "org.apache.kafka.connect.transforms.ExtractField$Value",
    "transforms.ExtractField.field": "tstamp",
    "transforms.ByteArrayCast.type": "jp.ad.sinet.sinetstream.connect.transforms.ByteArrayCast$Value",
    "format.bytearray.extension": "-timestamp.txt",
}
REQUIRED = ("-t", "cam1,cam2", "-b", "picamera", "-u", "http://minio:9000")
KEYS = ("--plain-credentials", "-A", "AKEY", "-S", "SKEY")


@pytest.fixture(autouse=True)
def nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without settings of this machine, but for the store's own, which are not used."""
    for name in (
        *connect_sinks.ACCESS_VARIABLES,
        *connect_sinks.SECRET_VARIABLES,
        "CAMERA_TOPICS",
        "CAMERA_TIMESTAMPS",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("ENDPOINT", "http://ours:9000"), ("ACCESS_KEY", "unused"), ("SECRET_KEY", "unused")):
        monkeypatch.setenv(f"MINIO_{name}", value)


def sinks(*arguments: str) -> list[Sink]:
    given = connect_sinks.command_line().parse_args(arguments)
    cameras = CameraSettings()
    return [
        connect_sinks.make_sink(given, kind, cameras, StoreSettings())
        for kind in connect_sinks.chosen_kinds(given, cameras)
    ]


def named(arguments: tuple[str, ...]) -> dict[str, dict[str, str]]:
    return {sink.name: sink.configuration() for sink in sinks(*arguments)}


@pytest.mark.parametrize(
    ("arguments", "name", "wanted"),
    [
        ((), "sink-minio-data", DATA),
        (("-n", "mine"), "mine", DATA | {"group.id": "mine"}),
        (("-R", "ap-northeast-1"), "sink-minio-data", DATA | {"s3.region": "ap-northeast-1"}),
        (("--tasks", "4"), "sink-minio-data", DATA | {"tasks.max": "4"}),
        (  # the sensors of Android, and perftool
            ("-X", ".json", "-n", "sink-s3-android"),
            "sink-s3-android",
            DATA | {"group.id": "sink-s3-android", "format.bytearray.extension": ".json"},
        ),
    ],
)
def test_D_is_the_originals_key_by_key(arguments: tuple[str, ...], name: str, wanted: dict[str, str]) -> None:
    assert named(("-D", *REQUIRED, *KEYS, *arguments)) == {name: COMMON | wanted}


@pytest.mark.parametrize(
    ("arguments", "name", "wanted"),
    [
        ((), "sink-minio-timestamp", TIMESTAMP),
        (("-X", ".time"), "sink-minio-timestamp", TIMESTAMP | {"format.bytearray.extension": ".time"}),
        (
            ("-n", "sink-s3-android-timestamp"),
            "sink-s3-android-timestamp",
            TIMESTAMP | {"group.id": "sink-s3-android-timestamp"},
        ),
    ],
)
def test_T_is_the_originals_key_by_key(arguments: tuple[str, ...], name: str, wanted: dict[str, str]) -> None:
    assert named(("-T", *REQUIRED, *KEYS, *arguments)) == {name: COMMON | wanted}


def test_without_D_and_T_both_are_made_under_the_prefix() -> None:
    image, timestamp = "sink-s3-picamera-image", "sink-s3-picamera-timestamp"
    assert named((*REQUIRED, *KEYS)) == {
        image: COMMON | DATA | {"group.id": image},
        timestamp: COMMON | TIMESTAMP | {"group.id": timestamp},
    }


def test_times_are_left_out_when_nobody_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(named((*REQUIRED, "--no-timestamps", "--prefix", "p"))) == ["p-image"]
    monkeypatch.setenv("CAMERA_TIMESTAMPS", "false")
    assert list(named(REQUIRED)) == ["sink-s3-picamera-image"]
    assert list(named((*REQUIRED, "--timestamps"))) == ["sink-s3-picamera-image", "sink-s3-picamera-timestamp"]


def test_the_extension_is_that_of_the_images() -> None:
    found = {sink.kind: sink.configuration()["format.bytearray.extension"] for sink in sinks(*REQUIRED, "-X", ".png")}

    assert found == {"image": ".png", "timestamp": "-timestamp.txt"}


def test_what_is_not_given_comes_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TOPICS", " a , b"), ("BUCKET", "frames"), ("ZONE", "UTC")):
        monkeypatch.setenv(f"CAMERA_{name}", value)

    (found,) = sinks("-D")

    values = found.configuration()
    assert [values[key] for key in ("topics", "s3.bucket.name", "timezone", "store.url")] == [
        *("a,b", "frames", "UTC", "http://ours:9000")
    ]


# credentials


def test_credentials_are_references_unless_plain_text_is_asked_for() -> None:
    (found,) = sinks("-D", *REQUIRED)

    assert (found.access_key, found.secret_key) == ("${env:MINIO_ACCESS_KEY}", "${env:MINIO_SECRET_KEY}")


def test_a_reference_to_another_provider_is_taken_as_it_is() -> None:
    (found,) = sinks("-D", *REQUIRED, "-A", "${file:/run/store.properties:access}", "-S", "${vault:kv/store:secret}")

    assert (found.access_key, found.secret_key) == ("${file:/run/store.properties:access}", "${vault:kv/store:secret}")


@pytest.mark.parametrize("letter", ["-A", "-S"])
def test_plain_text_by_accident_is_refused_and_not_shown(letter: str) -> None:
    with pytest.raises(ConfigurationError, match=letter) as refusal:
        sinks("-D", *REQUIRED, letter, "canary")

    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize("access", ["ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
@pytest.mark.parametrize("secret", ["SECRET_KEY", "AWS_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"])
def test_plain_credentials_fall_back_to_the_originals_variables(
    monkeypatch: pytest.MonkeyPatch, access: str, secret: str
) -> None:
    monkeypatch.setenv(access, "a")
    monkeypatch.setenv(secret, "s")

    (found,) = sinks("-D", *REQUIRED, "--plain-credentials")

    assert (found.access_key, found.secret_key) == ("a", "s")


def test_plain_credentials_that_nobody_gave_are_named() -> None:
    with pytest.raises(ConfigurationError, match="ACCESS_KEY, AWS_ACCESS_KEY_ID"):
        sinks("-D", *REQUIRED, "--plain-credentials")


def test_a_sink_does_not_print_its_keys() -> None:
    (found,) = sinks("-D", *REQUIRED, "--plain-credentials", "-A", "canary-1", "-S", "canary-2")

    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ("${env:NAME}", True),
        ("${file:/a/b.properties:key}", True),
        ("${}", False),
        ("${NAME}", False),
        ("x${env:NAME}", False),
        ("", False),
    ],
)
def test_references_are_told_from_text(value: str, is_one: bool) -> None:
    assert is_reference(value) is is_one


# the topics


@pytest.mark.parametrize(
    ("parameters", "topics"),
    [
        ({"picamera": {"topic": [" cam1", "cam2 "]}}, ("cam1", "cam2")),
        ({"picamera": {"topic": "cam1"}}, ("cam1",)),
        ({"android": {"topic": {"sensor_data": "android"}, "default": {"publisher": "p"}}}, ("android",)),
        ({"perftool": {"result": {"topic": "result"}, "target": {"topic": "target"}}}, ("result",)),
    ],
)
def test_topics_are_read_from_the_files_of_the_original(parameters: Any, topics: tuple[str, ...]) -> None:
    assert topics_of(parameters) == topics


@pytest.mark.parametrize("parameters", [None, [], "picamera", {}, {"picamera": None}, {"picamera": {"topic": 7}}])
def test_a_file_without_topics_is_refused(parameters: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"picamera\.topic"):
        topics_of(parameters)


def test_topics_from_a_file_reach_the_configuration(tmp_path: Any) -> None:
    file = tmp_path / "01-picamera.yml"
    file.write_text("picamera:\n  topic:\n  - cam1\n  - ' cam2 '\n")

    (found,) = sinks("-D", "--params", str(file))

    assert found.configuration()["topics"] == "cam1,cam2"


@pytest.mark.parametrize("content", [None, "picamera: [", "\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Any, content: str | None) -> None:
    file = tmp_path / "01-picamera.yml"
    if content is not None:
        file.write_bytes(content.encode("latin-1"))

    with pytest.raises(ConfigurationError, match=r"01-picamera\.yml"):
        sinks("-D", "--params", str(file))


@pytest.mark.parametrize("topics", [(), ("a b",), ("",), ("a", "x" * 250), ("a,b",)])
def test_topics_that_kafka_cannot_have_are_refused(topics: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError):
        checked_topics(topics)


# whose connector it is


def test_a_connector_is_the_same_one_whatever_may_be_changed() -> None:
    (sink,) = sinks("-D", *REQUIRED)
    changed = {"topics": "cam2, cam1", "s3.region": "other", "store.url": "https://minio", "aws.access.key.id": "x"}

    assert sink.differences(sink.configuration() | changed) == []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"connector.class": "Other"}, "connector.class is Other, not io.confluent.connect.s3.S3SinkConnector"),
        ({"topics": "cam1"}, "topics is cam1, not cam1,cam2"),
        ({"s3.bucket.name": "other"}, "s3.bucket.name is other, not picamera"),
        ({"transforms.ExtractField.field": "tstamp"}, "transforms.ExtractField.field is tstamp, not msg"),
    ],
)
def test_another_connector_is_told_by_what_differs(change: dict[str, str], difference: str) -> None:
    (sink,) = sinks("-D", *REQUIRED)

    assert sink.differences(sink.configuration() | change) == [difference]


def test_a_connector_of_another_kind_lacks_it_all() -> None:
    (sink,) = sinks("-D", *REQUIRED)

    assert len(sink.differences({})) == 4


def test_the_dead_letter_topic_only_adds_to_the_configuration() -> None:
    (without,), (tolerant,) = sinks("-D", *REQUIRED), sinks("-D", *REQUIRED, "--dead-letter-topic", "dlq")

    added = dict(tolerant.configuration().items() - without.configuration().items())
    assert without.configuration().items() <= tolerant.configuration().items()
    assert added["errors.deadletterqueue.topic.name"] == "dlq"
    assert added["errors.tolerance"] == "all"
    assert added["behavior.on.null.values"] == "ignore"
