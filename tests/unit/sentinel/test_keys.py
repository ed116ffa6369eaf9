import json

import pytest

from fieldpipe.sentinel.keys import BadEntry, Device, Entry, Place, Pod, is_ours, parse, parse_key
from tests.sentinel.models import device_key, device_value, pod_key, pod_value


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (b"/Device/edge/0", Place("edge", "0")),
        (b"/Device/edge/1", Place("edge", "1")),
        (b"/Pod/edge/0/front-7", Place("edge", "0", "front-7")),
        ("/Device/機器/1".encode(), Place("機器", "1")),
        (b"/Pod/0/1/1", Place("0", "1", "1")),
    ],
)
def test_keys_name_a_device_or_a_pod_and_a_status(key: bytes, place: Place) -> None:
    assert parse_key(key) == place


@pytest.mark.parametrize(
    "key",
    [
        b"/Device/edge",
        b"/Device/edge/2",
        b"/Device/edge/0/x",
        b"/Device//0",
        b"/Pod/edge/0",
        b"/Pod/edge/0/",
        b"/Pod/edge/0/a/b",
        b"/Device/\xff/0",
        b"/Device/a\x00b/0",
        b"/Device/edge /0",
        b"/Device/" + b"x" * 256 + b"/0",
    ],
)
def test_malformed_keys_are_refused_by_name(key: bytes) -> None:
    with pytest.raises(BadEntry) as refused:
        parse_key(key)
    assert repr(key) in str(refused.value)


@pytest.mark.parametrize(
    ("key", "ours"), [(b"/Pod/", True), (b"/Podx/0", False), (b"/Project/a", False), (b"Pod", False)]
)
def test_keys_of_others_are_not_ours(key: bytes, ours: bool) -> None:
    assert is_ours(key) is ours


def test_a_device_is_read_as_its_columns_take_it() -> None:
    found = parse(Entry(device_key("edge"), device_value("edge", connectionStatus=1, macAddress="aa:bb"), 7))

    extra = {"updateAt": "2026-01-02 03:04:05", "macAddress": "aa:bb"}
    assert found == Device("edge", "prj", "10.0.0.1", 1, "linux", extra)


def test_a_pod_without_image_and_deployment_has_none() -> None:
    value = json.loads(pod_value("p", deployedAt="", status="Running"))
    del value["imageName"]

    found = parse(Entry(pod_key("p"), json.dumps(value).encode(), 7))

    assert isinstance(found, Pod)
    assert (found.imageName, found.deployedAt, found.status) == (None, None, "Running")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        device_value("other"),
        device_value("edge", deviceIp=None),
        device_value("edge", deviceIp=["x"]),
        device_value("edge", connectionStatus="2"),
        device_value("edge", connectionStatus=True),
        device_value("edge", os="x" * 256),
        device_value("edge", os="\udc00"),
        device_value("edge", os="a\x00"),
    ],
)
def test_malformed_values_are_refused_by_their_key_and_revision(value: bytes) -> None:
    with pytest.raises(BadEntry, match="'/Device/edge/0', revision 7"):
        parse(Entry(device_key("edge"), value, 7))


@pytest.mark.parametrize("said", ["yesterday", "0001-01-01 00:00:00", "2026-13-01 00:00:00"])
def test_times_that_no_database_takes_are_refused(said: str) -> None:
    with pytest.raises(BadEntry):
        parse(Entry(pod_key("p"), pod_value("p", deployedAt=said), 7))
