"""What bodies mean: every shape that a store, a proxy or a person may send."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldpipe.events.notification import Event, Refusal, Status, parse_notification

MINIO = {
    "EventName": "s3:ObjectCreated:Put",
    "Key": "raw-data/runs/a b+c.mcap",
    "Records": [
        {
            "eventVersion": "2.0",
            "eventSource": "minio:s3",
            "awsRegion": "",
            "eventTime": "2026-11-22T02:56:36.000Z",
            "eventName": "s3:ObjectCreated:Put",
            "userIdentity": {"principalId": "admin"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "Config",
                "bucket": {
                    "name": "raw-data",
                    "ownerIdentity": {"principalId": "admin"},
                    "arn": "arn:aws:s3:::raw-data",
                },
                "object": {
                    "key": "runs%2Fa+b%2Bc.mcap",
                    "size": 1024,
                    "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                    "contentType": "application/octet-stream",
                    "userMetadata": {"content-type": "application/octet-stream"},
                    "versionId": "3f9a",
                    "sequencer": "17A2B3C4D5E6F708",
                },
            },
            "source": {"host": "127.0.0.1", "port": "", "userAgent": "MinIO"},
        }
    ],
}


def body(*records: object, **top: object) -> bytes:
    return json.dumps({**top, "Records": list(records)}).encode()


def record(key: str = "run.mcap", name: str = "s3:ObjectCreated:Put", **found: object) -> dict[str, object]:
    return {"eventName": name, "s3": {"bucket": {"name": "raw-data"}, "object": {"key": key, **found}}}


def test_minio_event_is_read_with_its_key_decoded_once():
    assert parse_notification(json.dumps(MINIO).encode()) == [
        Event(
            bucket="raw-data",
            key="runs/a b+c.mcap",
            etag="d41d8cd98f00b204e9800998ecf8427e",
            name="ObjectCreated:Put",
            source="minio",
            version_id="3f9a",
            size=1024,
            sequencer="17A2B3C4D5E6F708",
        )
    ]


def test_aws_event_without_prefix_in_its_name_is_read():
    aws = record(name="ObjectCreated:CompleteMultipartUpload", eTag='"ab-2"', size=7) | {"eventSource": "aws:s3"}
    expected = Event("raw-data", "run.mcap", "ab-2", "ObjectCreated:CompleteMultipartUpload", "aws", size=7)
    assert parse_notification(body(aws)) == [expected]


def test_manual_test_body_has_its_event_name_at_the_top_and_no_etag():
    manual = {
        "EventName": "s3:ObjectCreated:Put",
        "Records": [{"s3": {"bucket": {"name": "raw-data"}, "object": {"key": "test.mcap"}}}],
    }
    expected = [Event("raw-data", "test.mcap", None, "ObjectCreated:Put", "manual")]
    assert parse_notification(json.dumps(manual).encode()) == expected


@pytest.mark.parametrize(
    ("escaped", "key"),
    [
        ("a%2Fb+c.mcap", "a/b c.mcap"),
        ("a%252Fb.mcap", "a%2Fb.mcap"),
        ("100%25.mcap", "100%.mcap"),
        ("1%2B1.mcap", "1+1.mcap"),
        ("%E6%97%A5%E6%9C%AC.mcap", "日本.mcap"),
        ("日本.mcap", "日本.mcap"),
        ("%zz.mcap", "%zz.mcap"),
        ("%0A%0D.mcap", "\n\r.mcap"),
    ],
)
def test_key_is_decoded_exactly_once(escaped, key):
    assert [event.key for event in parse_notification(body(record(escaped)))] == [key]


@pytest.mark.parametrize("name", ["Put", "Post", "Copy", "CompleteMultipartUpload"])
def test_every_kind_of_creation_counts(name):
    (event,) = parse_notification(body(record(name=f"s3:ObjectCreated:{name}")))
    assert isinstance(event, Event)
    assert event.name == f"ObjectCreated:{name}"


@pytest.mark.parametrize(
    "name",
    ["s3:ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated", "s3:ObjectAccessed:Get", "s3:Nonsense", ""],
)
def test_what_creates_nothing_is_ignored(name):
    (answer,) = parse_notification(body(record(name=name)))
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.bucket, answer.key) == (Status.IGNORED, "raw-data", "run.mcap")


def test_removal_is_ignored_although_the_top_of_the_body_says_created():
    (answer,) = parse_notification(body(record(name="s3:ObjectRemoved:Delete"), EventName="s3:ObjectCreated:Put"))
    assert isinstance(answer, Refusal)


def test_test_event_of_aws_is_ignored():
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "raw-data"}
    assert parse_notification(json.dumps(event).encode()) == [Refusal(Status.IGNORED, "test event")]


def test_no_records_at_all_is_no_event():
    assert parse_notification(body()) == []


def test_thousand_records_are_thousand_events_in_order():
    keys = [f"{n}.mcap" for n in range(1000)]
    assert [event.key for event in parse_notification(body(*map(record, keys)))] == keys


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON: JSONDecodeError"),
        (b"{", "not JSON: JSONDecodeError"),
        (b"\xff\xfe\x00", "not JSON: UnicodeDecodeError"),
        (b"[" * 100_000, "not JSON: RecursionError"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "no Records"),
        (b'{"Records": null}', "no Records"),
        (b'{"Records": {"s3": 1}}', "no Records"),
        (b'{"Records": [null]}', "a record without s3.bucket.name and s3.object.key"),
        (b'{"Records": ["x"]}', "a record without s3.bucket.name and s3.object.key"),
        (b'{"Records": [{"s3": {"bucket": {}}}]}', "a record without s3.bucket.name and s3.object.key"),
        (body(record("")), "bucket name or key is empty or no text"),
        (body({"s3": {"bucket": {"name": 3}, "object": {"key": "k"}}}), "bucket name or key is empty or no text"),
        (body(record("a\0b.mcap")), "bucket name or key holds NUL or a lone surrogate"),
        (body(record("a%00b.mcap")), "bucket name or key holds NUL or a lone surrogate"),
        (body(record("a\ud800b.mcap")), "bucket name or key holds NUL or a lone surrogate"),
        (body(record("%FF.mcap")), "key is not UTF-8"),
        (body(record("k" * 1025)), "bucket name or key is longer than 1024 bytes"),
    ],
)
def test_what_can_never_be_an_event_is_dead_with_its_reason(content, reason):
    (answer,) = parse_notification(content)
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.reason) == (Status.DEAD, reason)


def test_bad_record_does_not_cost_its_neighbours():
    first, bad, last = parse_notification(body(record("a.mcap"), {"s3": None}, record("b.mcap")))
    assert isinstance(bad, Refusal)
    assert [first.key, last.key] == ["a.mcap", "b.mcap"]


def test_fields_that_cannot_be_stored_count_as_not_said():
    odd = record(eTag="x" * 257, size=True, versionId="a\0", sequencer=7)
    (event,) = parse_notification(body(odd))
    assert event == Event("raw-data", "run.mcap", None, "ObjectCreated:Put", "manual")


@given(st.binary(max_size=200))
def test_no_bytes_raise(content):
    assert isinstance(parse_notification(content), list)


FIELDS = ["Records", "s3", "bucket", "object", "name", "key", "eTag", "size", "eventName"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(json_values, max_size=3))
def test_no_records_raise_and_each_gets_one_answer(records):
    assert len(parse_notification(body(*records))) == len(records)
