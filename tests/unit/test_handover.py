"""The strings that the rooms agree on: work for pods, reports, places of results."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldpipe.errors import PermanentError
from fieldpipe.handover import (
    Outcome,
    Report,
    WorkItem,
    canonical_json,
    decode_work,
    encode_work,
    latest_key,
    report_key,
    report_prefix,
    result_prefix,
)

ETAG = "0123456789abcdef0123456789abcdef"
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(KEYS)
def test_work_survives_the_environment_whatever_the_key(key: str) -> None:
    item = WorkItem(bucket="raw-data", key=key, etag=ETAG, id=7, received="2026-01-01T00:00:00.000000Z")

    assert decode_work(encode_work([item])) == [item]


def test_work_holds_no_dollar_that_kubernetes_could_expand() -> None:
    text = encode_work([WorkItem(bucket="raw-data", key="$(MINIO_SECRET_KEY)/$$(A).mcap")])

    assert "$" not in text
    assert json.loads(text)[0]["key"] == "$(MINIO_SECRET_KEY)/$$(A).mcap"


@pytest.mark.parametrize(
    "text", ["", "{}x", "7", '[{"bucket": "b"}]', '[{"bucket": "b", "key": "k", "evil": 1}]', "[3]"]
)
def test_work_that_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(PermanentError, match="FIELDPIPE_WORK"):
        decode_work(text)


def test_a_report_reads_back_as_it_was_written() -> None:
    report = Report(Outcome.REJECTED, reason="not_mcap", manifest=None)

    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"outcome": "fine", "reason": "", "manifest": null}', b"\xff"])
def test_a_report_that_no_pod_wrote_is_refused(text: bytes) -> None:
    with pytest.raises(PermanentError, match="no report"):
        Report.from_json(text)


def test_reports_of_a_run_lie_together() -> None:
    assert report_key("fp.recordings.1", 42, 2) == "_runs/fp.recordings.1/42.2.json"
    assert report_key("manual__x", None, 1).startswith(report_prefix("manual__x"))


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("run1.mcap", "run1/0123456789ab-p1/"),
        ("site 1/2026/run.2.MCAP", "site 1/2026/run.2/0123456789ab-p1/"),
        ("日本/ロボ.mcap", "日本/ロボ/0123456789ab-p1/"),
        (".mcap", ".mcap/0123456789ab-p1/"),
        ("_runs/x.mcap", "%5Fruns/x/0123456789ab-p1/"),
        ("a//b.mcap", "a/%/b/0123456789ab-p1/"),
    ],
)
def test_results_lie_beside_the_name_of_their_source(key: str, prefix: str) -> None:
    assert result_prefix(key, ETAG, 1) == prefix


@given(KEYS)
def test_no_key_escapes_its_place(key: str) -> None:
    prefix = result_prefix(key, ETAG, 1)

    parts = prefix.rstrip("/").split("/")
    assert not {"", ".", ".."} & set(parts)
    assert not prefix.startswith("_runs/")
    assert all(c.isprintable() and c != "\\" for c in prefix)


@given(
    st.lists(st.text(string.ascii_letters + "./%_~ é", min_size=1, max_size=12), unique=True, min_size=2, max_size=8)
)
def test_two_keys_never_share_a_place(stems: list[str]) -> None:
    keys = [f"{stem}.mcap" for stem in stems]

    assert len({result_prefix(key, ETAG, 1) for key in keys}) == len(keys)


def test_a_key_of_full_length_still_fits_the_store() -> None:
    key = "é" * 505 + ".mcap"

    longest = result_prefix(key, ETAG, 12) + "t" * 200 + ".csv"

    assert len(longest.encode()) < 1024
    assert latest_key(key).endswith("/latest.json")
    assert result_prefix(key, ETAG, 1) != result_prefix("é" * 504 + "e.mcap", ETAG, 1)


@pytest.mark.parametrize("part", ["#" * 200, "é" * 120, "日" * 80 + "#" * 40])
def test_no_part_of_a_place_is_longer_than_a_file_name(part: str) -> None:
    prefix = result_prefix(f"{part}/{part}.mcap", ETAG, 1)

    assert max(len(name.encode()) for name in prefix.split("/")) <= 255
    assert prefix != result_prefix(f"{part}/{part}x.mcap", ETAG, 1)


def test_no_folder_has_the_name_of_a_file_of_ours() -> None:
    assert result_prefix("latest.json.mcap", ETAG, 1) == "latest%2Ejson/0123456789ab-p1/"
    assert result_prefix("a/manifest.json/b.mcap", ETAG, 1) == "a/manifest%2Ejson/b/0123456789ab-p1/"


def test_canonical_json_has_one_form_per_value() -> None:
    assert canonical_json({"b": [1], "a": "é"}) == canonical_json({"a": "é", "b": [1]})
    assert canonical_json({"a": "é"}) == '{\n "a": "é"\n}\n'.encode()
