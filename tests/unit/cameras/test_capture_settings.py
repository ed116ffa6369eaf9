"""The variables of the original's container, and what becomes of them (rows A-S13 and A-S14)."""

import base64
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import zstandard
from kafka import KafkaProducer

from fieldpipe.cameras.capture.picture import Picture, picture
from fieldpipe.cameras.capture.schedule import Interval
from fieldpipe.cameras.capture.settings import Settings, SpoolSettings, understood
from fieldpipe.cameras.capture.variables import Variables
from fieldpipe.cameras.message import Message, Position, decode
from fieldpipe.cameras.sealing import unsealer
from fieldpipe.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
NEEDED = {"SS_BROKERS": "kafka1:9092, kafka2", "SS_TOPIC": "sinetstream.image.camera"}
HERE = Position("sinetstream.image.camera", 0, 1)
KEY = base64.b64encode(bytes(range(16))).decode()


def settings(**more: str) -> Settings:
    return understood(Variables({**NEEDED, **more}))


def complaints(**more: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        settings(**more)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, None),
        ({"PICAMERA2_SIZE": "640x480"}, (640, 480)),
        ({"PICAMERA2_SIZE": "(640x480)"}, (640, 480)),
        ({"PICAMERA2_SIZE": "4K"}, (3840, 2160)),
        ({"PICAMERA2_SIZE": "2K"}, (1920, 1080)),
        ({"PICAMERA2_SIZE": "FHD"}, (1920, 1080)),
        ({"PICAMERA2_SIZE": "hd"}, (1280, 720)),
        ({"PICAMERA2_SIZE": "SVGA"}, (800, 600)),
        ({"PICAMERA2_SIZE": "VGA"}, (640, 480)),
        ({"PICAMERA_RESOLUTION": "QVGA"}, (320, 240)),
        ({"PICAMERA_RESOLUTION": "QVGA", "PICAMERA2_SIZE": "VGA"}, (640, 480)),
        ({"PICAMERA_RESOLUTION": "QVGA", "PICAMERA2_SIZE": "VGA", "PICAMERA2_MAIN_SIZE": "HD"}, (1280, 720)),
    ],
)
def test_the_size_has_three_names_and_many_forms(given: Mapping[str, str], size: tuple[int, int] | None) -> None:
    assert settings(**given).picture.size == size


@pytest.mark.parametrize("text", ["640", "640x", "x480", "0x480", "99999x480", "WVGA", "640x480x3"])
def test_other_sizes_are_refused(text: str) -> None:
    assert f"PICAMERA2_SIZE: {text!r} is no size" in complaints(PICAMERA2_SIZE=text)


def test_everything_about_a_picture_is_read() -> None:
    given = {
        "PICAMERA2_MAIN_FORMAT": "RGB888",
        "PICAMERA2_FORMAT": "YUV420",
        "PICAMERA2_COLOUR_SPACE": "Sycc",
        "PICAMERA2_BUFFER_COUNT": "2",
        "PICAMERA2_TRANSFORM_HFLIP": "1",
        "PICAMERA2_TRANSFORM_VFLIP": "0",
        "PICAMERA2_CONTROLS_FRAME_RATE": "5",
        "PICAMERA2_CONTROLS_AF_MODE": "Continuous",
        "PICAMERA2_CONTROLS_SHARPNESS": "1.5",
        "PICAMERA2_CONTROLS_EXPOSURE_TIME": "20000",
        "PICAMERA_FRAMERATE": "30",
    }

    assert picture(Variables(given)) == Picture(
        format="RGB888",
        colour_space="Sycc",
        buffer_count=2,
        hflip=True,
        rate=5.0,
        controls={
            "AfMode": "Continuous",
            "Sharpness": 1.5,
            "ExposureTime": 20000,
            "FrameDurationLimits": (200_000, 200_000),
        },
    )


@pytest.mark.parametrize(("text", "duration"), [("0.5", 2_000_000), ("30", 33_333)])
def test_the_old_name_of_the_frame_rate_limits_the_duration_of_frames_too(text: str, duration: int) -> None:
    assert picture(Variables({"PICAMERA_FRAMERATE": text})).controls == {"FrameDurationLimits": (duration, duration)}


def test_without_a_schedule_a_camera_has_its_own_rate_and_a_pattern_five_a_second() -> None:
    assert settings().plan == Interval(0)
    assert settings(CAMERA_SOURCE="pattern").plan == Interval(0.2)
    assert settings(CAMERA_SOURCE="pattern", PICAMERA_FRAMERATE="2").plan == Interval(0.5)
    assert settings(CAMERA_SOURCE="pattern", SCHEDULE="every 3 minutes").plan == Interval(180)


def test_the_defaults_are_those_that_lose_nothing() -> None:
    found = settings()

    assert (found.source, found.stream.brokers, found.stream.topic) == (
        "picamera2",
        ("kafka1:9092", "kafka2"),
        "sinetstream.image.camera",
    )
    assert (found.stream.acks, found.stream.max_request_size) == ("all", 1_048_576)
    assert found.spool == SpoolSettings(Path("/var/lib/fieldpipe-camera"), 1 << 30, "oldest", 5)
    assert found.packing.pack(7, b"jpeg")[:6] == bytes.fromhex("df0300000000")
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("consistency", "acks"), [("AT_LEAST_ONCE", "all"), ("EXACTLY_ONCE", "all"), ("AT_MOST_ONCE", 0)]
)
def test_consistency_says_what_kafka_has_to_acknowledge(consistency: str, acks: object) -> None:
    assert settings(SS_CONSISTENCY=consistency).stream.acks == acks


@pytest.mark.parametrize(
    ("given", "client"),
    [
        ({"SS_TLS": "true"}, {"security_protocol": "SSL"}),
        ({"SS_TLS__CHECK_HOSTNAME": "no"}, {"security_protocol": "SSL", "ssl_check_hostname": False}),
        ({"SS_TLS__CA_CERTS": __file__}, {"security_protocol": "SSL", "ssl_cafile": __file__}),
        ({"SS_SECURITY_PROTOCOL": "SSL", "SS_SSL_CAFILE": __file__}, {"ssl_cafile": __file__}),
        ({"SS_CLIENT_ID": "roof"}, {"client_id": "roof", "security_protocol": "PLAINTEXT"}),
        (
            {
                "SS_SECURITY_PROTOCOL": "SASL_SSL",
                "SS_SASL_MECHANISM": "SCRAM-SHA-256",
                "SS_SASL_PLAIN_USERNAME": "roof",
                "SS_SASL_PLAIN_PASSWORD": "canary-81",
                "SS_SSL_PASSWORD": "canary-82",
                "SS_SSL_CERTFILE": __file__,
                "SS_TLS__KEYFILE": __file__,
                "SS_TLS__CIPHERS": "HIGH",
            },
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-256",
                "sasl_plain_username": "roof",
                "sasl_plain_password": "canary-81",
            },
        ),
    ],
)
def test_connections_are_made_as_sinetstream_would(given: Mapping[str, str], client: Mapping[str, object]) -> None:
    found = settings(**given)

    assert {**found.stream.client, **client} == found.stream.client
    assert found.stream.client.keys() <= KafkaProducer.DEFAULT_CONFIG.keys()
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("algorithm", "unpack"), [("gzip", zlib.decompress), ("zstd", zstandard.ZstdDecompressor().decompress)]
)
@pytest.mark.parametrize("level", ["", "9"])
def test_payloads_are_compressed_on_demand(algorithm: str, unpack: object, level: str) -> None:
    asked = {"SS_COMPRESSION__ALGORITHM": algorithm, "SS_COMPRESSION__LEVEL": level}
    packed = settings(SS_DATA_COMPRESSION="true", **asked).packing.pack(7, b"jpeg" * 100)

    assert unpack(decode(packed, HERE).payload) == b"jpeg" * 100  # type: ignore[operator]
    assert decode(settings(**asked).packing.pack(7, b"jpeg"), HERE).payload == b"jpeg"


def test_version_2_is_written_on_demand() -> None:
    assert settings(SS_MESSAGE_FORMAT="2").packing.pack(7, b"jpeg").startswith(b"\xc3\x01")


@pytest.mark.parametrize("mode", ["GCM", "EAX"])
def test_messages_are_encrypted_with_the_newest_key(mode: str) -> None:
    older = base64.b64encode(bytes(16)).decode()
    found = settings(SS_DATA_ENCRYPTION="true", SS_CRYPTO__MODE=mode, SS_CRYPTO__KEY=f"3={older},7={KEY}")

    packed = found.packing.pack(7, b"jpeg")

    assert packed[:6] == bytes.fromhex("df0300000007")
    assert decode(packed, HERE, unsealer({7: bytes(range(16))}, None)) == Message(7, b"jpeg")


@pytest.mark.parametrize("name", ["SS_CRYPTO__PASSWORD", "SS_CRYPTO__PASSWORD__VALUE", "SS_CRYPTO__PASSWORD__PATH"])
def test_messages_are_encrypted_with_a_password(name: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("canary-82")
    password = str(tmp_path / "password") if name.endswith("PATH") else "canary-82"
    found = settings(SS_DATA_ENCRYPTION="true", SS_CRYPTO__MODE="EAX", **{name: password})

    assert decode(found.packing.pack(7, b"jpeg"), HERE, unsealer({}, "canary-82")) == Message(7, b"jpeg")
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"SS_CRYPTO__KEY": f"7={KEY}"}, "SS_DATA_ENCRYPTION: there are SS_CRYPTO__ variables: say true, or false"),
        ({"SS_CRYPTO__MODE": "CBC"}, "SS_CRYPTO__MODE: 'CBC' is not supported, only GCM, EAX"),
        ({"SS_CRYPTO__MODE": ""}, "SS_CRYPTO__MODE: it is missing"),
        ({"SS_CRYPTO__ALGORITHM": "DES"}, "SS_CRYPTO__ALGORITHM: 'DES' is not supported, only AES"),
        ({"SS_CRYPTO__PADDING": "pkcs7"}, "SS_CRYPTO__PADDING: 'pkcs7' is not supported, only none, NoPadding"),
        ({"SS_CRYPTO__KEY_DERIVATION__ITERATION": "1"}, "SS_CRYPTO__KEY_DERIVATION__ITERATION: '1' is not supported"),
        ({"SS_CRYPTO__KEY": ""}, "SS_CRYPTO__KEY: either it or SS_CRYPTO__PASSWORD is needed, and not both"),
        ({"SS_CRYPTO__PASSWORD": "canary"}, "SS_CRYPTO__KEY: either it or SS_CRYPTO__PASSWORD is needed, and not both"),
        ({"SS_CRYPTO__KEY_LENGTH": "256"}, "SS_CRYPTO__KEY_LENGTH: 256 is not the length of SS_CRYPTO__KEY"),
        ({"SS_CRYPTO__KEY": "7=canarycanary"}, "SS_CRYPTO__KEY: the key of version 7 is 9 bytes"),
        ({"SS_CRYPTO__KEY": "canary"}, "SS_CRYPTO__KEY: entry 1 is not version=key, the key in base64"),
        ({"SS_MESSAGE_FORMAT": "2"}, "SS_DATA_ENCRYPTION: encryption takes SS_MESSAGE_FORMAT=3"),
    ],
)
def test_encryption_that_is_not_as_asked_for_is_refused_and_never_left_out(
    given: Mapping[str, str], reason: str
) -> None:
    whole = {"SS_DATA_ENCRYPTION": "true", "SS_CRYPTO__MODE": "GCM", "SS_CRYPTO__KEY": f"7={KEY}"}
    wanted = given if reason.startswith("SS_DATA_ENCRYPTION: there") else {**whole, **given}

    said = complaints(**wanted)

    assert reason in said
    assert "canary" not in said


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"SS_BROKERS": ""}, "SS_BROKERS: it is missing"),
        ({"SS_TOPIC": " "}, "SS_TOPIC: it is missing"),
        ({"SS_TOPIC": "a/b"}, "SS_TOPIC: 'a/b' is no topic"),
        ({"SS_TYPE": "mqtt"}, "SS_TYPE: 'mqtt' is not supported, only kafka"),
        ({"SS_VALUE_TYPE": "image"}, "SS_VALUE_TYPE: 'image' is not supported"),
        ({"SS_USER_DATA_ONLY": "true"}, "SS_USER_DATA_ONLY: pictures without their time are not supported"),
        ({"SS_CONSISTENCY": "ALWAYS"}, "SS_CONSISTENCY: 'ALWAYS' is not supported"),
        ({"SS_MESSAGE_FORMAT": "1"}, "SS_MESSAGE_FORMAT: '1' is not supported, only 2, 3"),
        ({"SS_MAX_REQUEST_SIZE": "8M"}, "SS_MAX_REQUEST_SIZE: '8M' is not a whole number from 1024 on"),
        ({"SS_DATA_COMPRESSION": "maybe"}, "SS_DATA_COMPRESSION: 'maybe' is neither true nor false"),
        ({"SS_COMPRESSION__ALGORITHM": "lz4"}, "SS_COMPRESSION__ALGORITHM: 'lz4' is not supported, only gzip, zstd"),
        ({"SS_DATA_COMPRESSION": "1", "SS_COMPRESSION__LEVEL": "10"}, "SS_COMPRESSION__LEVEL: gzip has no level 10"),
        ({"SS_TLS__CA_CERTS": "/no/ca.pem"}, "there is no file /no/ca.pem"),
        ({"SS_SASL_MECHANISM": "PLAIN"}, "SS_SASL_MECHANISM: it takes SS_SECURITY_PROTOCOL=SASL_SSL"),
        ({"SS_SECURITY_PROTOCOL": "SASL_SSL"}, "SS_SASL_PLAIN_USERNAME: it is missing; SS_SASL_PLAIN_PASSWORD: it is"),
        ({"SS_TLS": "true", "SS_SECURITY_PROTOCOL": "PLAINTEXT"}, "PLAINTEXT is without TLS, and SS_TLS asks for it"),
        ({"SSCFG_NAME": "x"}, "SSCFG_NAME: not supported: SINETStream's config server"),
        ({"EXT_SS_TOPIC": "x"}, "EXT_SS_TOPIC: not supported: the original's extension tools"),
        ({"PICAMERA2_CONTROLS_FRAME_RATE": "0"}, "PICAMERA2_CONTROLS_FRAME_RATE: '0' is not a number above zero"),
        ({"PICAMERA2_BUFFER_COUNT": "-1"}, "PICAMERA2_BUFFER_COUNT: '-1' is not a whole number from 0 on"),
        ({"SCHEDULE": "sometimes"}, "SCHEDULE: 'sometimes' is no schedule"),
        ({"CAMERA_SOURCE": "webcam"}, "CAMERA_SOURCE: 'webcam' is none of picamera2, pattern, folder:PATH, video:PATH"),
        ({"CAMERA_SOURCE": "folder:"}, "CAMERA_SOURCE: 'folder:' is none of"),
        ({"CAMERA_SPOOL_BYTES": "1G"}, "CAMERA_SPOOL_BYTES: '1G' is not a whole number from 1048576 on"),
        ({"CAMERA_SPOOL_WHEN_FULL": "all"}, "CAMERA_SPOOL_WHEN_FULL: 'all' is not supported, only oldest, newest"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL: 'LOUD' is not supported"),
    ],
)
def test_what_is_wrong_or_not_supported_is_refused(given: Mapping[str, str], reason: str) -> None:
    assert reason in complaints(**given)


def test_all_complaints_come_at_once() -> None:
    said = complaints(SS_TOPIC="", SS_TYPE="s3", SCHEDULE="never", PICAMERA2_SIZE="big")

    assert all(f"{name}: " in said for name in ("SS_TOPIC", "SS_TYPE", "SCHEDULE", "PICAMERA2_SIZE"))


def test_what_is_not_known_is_named_and_ignored() -> None:
    given = {"SS_LINGER_MS": "5", "SS_CRYPTO__X": "1", "PICAMERA2_DISPLAY": "main", "PICAMERA_ISO": "100"}
    found = settings(**given, SS_DATA_ENCRYPTION="false", LOG_FORMAT="{message}", CAMERA_TOPICS="of-the-backup")

    assert [warning.split()[0] for warning in found.warnings] == ["LOG_FORMAT", *sorted(given)]


def test_secrets_win_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "SS_TOPIC").write_text("from-a-secret\n")
    (tmp_path / "..data").mkdir()
    environment = {**NEEDED, "CAMERA_SECRETS": str(tmp_path)}

    found = understood(Variables.read(environment))

    assert (found.stream.topic, found.stream.brokers) == ("from-a-secret", ("kafka1:9092", "kafka2"))


def test_secrets_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "SS_TOPIC").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigurationError, match="cannot be read"):
        Variables.read({**NEEDED, "CAMERA_SECRETS": str(tmp_path)})


def test_the_example_and_the_manual_name_every_variable() -> None:
    variables = Variables.read({**NEEDED, "SS_DATA_ENCRYPTION": "true", "SS_CRYPTO__PASSWORD": "x"})
    with pytest.raises(ConfigurationError, match="SS_CRYPTO__MODE: it is missing"):
        understood(variables)  # which asks for all of them nevertheless

    asked = variables.asked
    listed = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M))
    manual = (ROOT / "docs/cameras.md").read_text()
    assert asked - listed == set()
    assert {name for name in asked if f"`{name}`" not in manual} == set()


def test_the_example_for_a_camera_is_understood() -> None:
    lines = [line for line in (ROOT / "edge/camera.env").read_text().splitlines() if "=" in line]
    given = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    others = {name for line in lines if (name := line.lstrip("# ").split("=")[0]).isupper()}
    variables = Variables(given)

    found = understood(variables)

    assert (found.warnings, found.picture.size, found.plan) == ((), (640, 480), Interval(10))
    assert {"SS_SASL_PLAIN_USERNAME", "SS_TLS__CA_CERTS", "CAMERA_SOURCE"} < others <= variables.asked
