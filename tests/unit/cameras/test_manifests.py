import pytest

from fieldpipe.cameras.manifests import DeadRecord, Epoch, Frame, Manifest, Range, Stream, dead_key
from fieldpipe.errors import PermanentError

STREAM = Stream("front", 3, 1, "01a20324-fbb3-7971-8692-1c515bd868dc")
MANIFEST = Manifest(
    STREAM,
    first=19_998,
    last=20_003,
    frames=(
        Frame(19_998, 1_700_000_000_123, 1_700_000_000_123_456, "topics/a.jpg", 5, "2cf2", "topics/a-timestamp.txt"),
        Frame(20_001, 1_700_000_000_200, None, "topics/b.sealed", 7, "9f86", None, sealed=7),
    ),
    dead=(DeadRecord(20_000, "a tombstone", dead_key(STREAM, 20_000) + ".json"),),
    holes=(Range(19_999, 19_999), Range(20_002, 20_003)),
)


def test_manifest_survives_its_json() -> None:
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST


def test_gap_survives_its_json() -> None:
    gap = Manifest(STREAM, 5, 99, kind="gap")
    assert Manifest.from_json(gap.to_json()) == gap


def test_manifests_lie_in_order_of_their_offsets() -> None:
    keys = [Manifest(STREAM, first, first).key for first in (0, 9, 10, 9_999, 10_000, 123_456_789_012)]
    assert keys == sorted(keys)
    assert MANIFEST.key == "_manifests/front/1/3/0000000000000001/00000000000000019998.json"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"kind": "other"}', MANIFEST.to_json()[:-4], b"\xff"])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(PermanentError, match="no manifest of a camera backup"):
        Manifest.from_json(content)


def test_epoch_survives_its_json() -> None:
    epoch = Epoch("front", 2, "01a20324-fc40-7653-a1ea-94350dba9b12")
    assert Epoch.from_json(epoch.to_json()) == epoch
    assert epoch.key == "_epochs/front/000002.json"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"epoch": 1}'])
def test_what_is_no_epoch_is_refused(content: bytes) -> None:
    with pytest.raises(PermanentError, match="no epoch of a camera backup"):
        Epoch.from_json(content)
