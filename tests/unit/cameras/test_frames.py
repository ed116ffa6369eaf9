import hashlib
import json
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from fieldpipe.cameras.frames import Objects, Options, objects_of, options
from fieldpipe.cameras.manifests import DeadRecord, Frame, Stream
from fieldpipe.cameras.message import Message, Record, encode
from fieldpipe.errors import ConfigurationError
from fieldpipe.settings import CameraSettings

STREAM = Stream("image-sinetstream-picamera", 0, 1, "01a20324-fbb3-7971-8692-1c515bd868dc")
TIME = 1_700_000_000_123_456
JST = Options(zone=ZoneInfo("Asia/Tokyo"))
STEM = "topics/image-sinetstream-picamera/year=2023/month=11/day=15/hour=07/image-sinetstream-picamera+0+0000000042"
SEALED = bytes.fromhex(  # made by SINETStream 1.10: AES-GCM, version 7 of the key, TIME and b"hello"
    "df0300000007bacf7d49a51e8158129328a93a4fd4aa4953f65e578bc23311d9d7dfbe78007d69b786693b14d86759b45240bfa5c8f2dda7"
    "26289f4f33927f694dab9a5a7c9d"
)


def record(value: bytes | None, offset: int = 42) -> Record:
    return Record(offset, TIME // 1000, value)


def frame(objects: Objects) -> Frame:
    assert isinstance(objects.entry, Frame)
    return objects.entry


def test_a_message_becomes_an_image_and_its_time_as_the_sink_would_write_them() -> None:
    found = objects_of(record(encode(Message(TIME, b"hello"))), STREAM, JST)

    assert found.contents == {f"{STEM}.jpg": b"hello", f"{STEM}-timestamp.txt": b"2023-11-14T22:13:20.123"}
    digest = hashlib.sha256(b"hello").hexdigest()
    assert found.entry == Frame(42, TIME // 1000, TIME, f"{STEM}.jpg", 5, digest, f"{STEM}-timestamp.txt")


def test_a_message_without_a_time_becomes_an_image_alone() -> None:
    found = objects_of(record(encode(Message(0, b"hello"))), STREAM, JST)

    assert found.contents == {f"{STEM}.jpg": b"hello"}
    assert (frame(found).time, frame(found).timestamp) == (None, None)


def test_times_are_left_out_or_written_as_rfc_3339_on_request() -> None:
    value = encode(Message(TIME, b"hello"))

    without = objects_of(record(value), STREAM, Options(zone=JST.zone, timestamps=False))
    rfc = objects_of(record(value), STREAM, Options(zone=JST.zone, rfc3339=True))

    assert list(without.contents) == [f"{STEM}.jpg"]
    assert frame(without).time == TIME
    assert rfc.contents[f"{STEM}-timestamp.txt"] == b"2023-11-15T07:13:20.123456+09:00"


def test_a_topic_has_the_extension_that_was_chosen_for_it() -> None:
    wanted = Options(zone=JST.zone, extensions={STREAM.topic: ".json"})

    assert frame(objects_of(record(encode(Message(TIME, b"{}"))), STREAM, wanted)).image == f"{STEM}.json"


def test_an_encrypted_message_without_its_key_is_kept_whole() -> None:
    found = objects_of(record(SEALED), STREAM, JST)

    assert found.contents == {f"{STEM}.sealed": SEALED}
    assert (frame(found).sealed, frame(found).time) == (7, None)


def test_an_encrypted_message_is_opened_with_its_key() -> None:
    wanted = options(CameraSettings(keys=SecretStr("7=EBESExQVFhcYGRobHB0eHw==")))

    assert objects_of(record(SEALED), STREAM, wanted).contents == {
        f"{STEM}.jpg": b"hello",
        f"{STEM}-timestamp.txt": b"2023-11-14T22:13:20.123",
    }


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "a tombstone"), (b"", "0 bytes are too few"), (b"\xff" * 40, "it begins with ffff"), (SEALED[:30], None)],
)
def test_what_is_no_frame_is_kept_with_where_it_was_and_why(value: bytes | None, reason: str | None) -> None:
    wanted = options(CameraSettings(keys=SecretStr("7=EBESExQVFhcYGRobHB0eHw==")))

    found = objects_of(record(value), STREAM, wanted)

    key = f"_dead/{STREAM.topic}/1/0/00000000000000000042"
    assert isinstance(found.entry, DeadRecord)
    assert (found.entry.offset, found.entry.key) == (42, f"{key}.json")
    assert f"topic {STREAM.topic}, partition 0, offset 42" in found.entry.reason
    assert (reason or "") in found.entry.reason
    assert found.contents.get(f"{key}.bin") == value
    described = json.loads(found.contents[f"{key}.json"])
    assert (described["topic"], described["partition"], described["offset"]) == (STREAM.topic, 0, 42)


def test_a_time_that_no_calendar_has_is_no_frame() -> None:
    found = objects_of(record(encode(Message(2**62, b"hello"))), STREAM, JST)

    assert isinstance(found.entry, DeadRecord)


def test_a_topic_that_was_made_again_has_a_root_of_its_own() -> None:
    again = objects_of(record(encode(Message(TIME, b"hello"))), STREAM._replace(epoch=2), JST)

    assert frame(again).image == f"{STEM}.jpg".replace("topics/", "topics-2/")


def test_options_come_from_the_settings() -> None:
    wanted = options(CameraSettings(zone="UTC", timestamp_format="rfc3339", extensions="a=.json, b=.png"))

    assert str(wanted.zone) == "UTC"
    assert (wanted.rfc3339, dict(wanted.extensions)) == (True, {"a": ".json", "b": ".png"})


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"zone": "Asia/Nowhere"}, "CAMERA_ZONE"),
        ({"zone": "../etc"}, "CAMERA_ZONE"),
        ({"extensions": "a=json"}, "CAMERA_EXTENSIONS"),
        ({"extensions": "a=./x"}, "CAMERA_EXTENSIONS"),
        ({"keys": SecretStr("7=short")}, "CAMERA_KEYS"),
    ],
)
def test_wrong_options_are_refused_by_their_names(settings: dict[str, object], variable: str) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        options(CameraSettings(**settings))


def test_without_a_zone_hours_are_utc() -> None:
    assert Options().zone is UTC
