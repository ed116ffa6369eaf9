"""Routing: which readings go to which sinks."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldpipe.broker.reading import Reading, accept
from fieldpipe.broker.routing import Routes
from fieldpipe.errors import ConfigurationError

SINKS = ("influxdb", "redis", "slack", "bucket")

RULES = """
rules:
  - name: pictures
    collector: [camera, "serial*"]
    content_type: Image/*
    to: [bucket]
  - name: too warm
    provider: webhook
    payload: {"$.temp": {above: 30, at_most: 60}}
    to: [slack, influxdb]
  - metadata: {topic: "site-?/alarm", retain: false}
    to: [slack]
  - payload: {"$.sensors[*].kind": [smoke, gas]}
    to: all
  - collector: noise
    to: []
otherwise: [redis]
"""


def reading(
    collector: str = "webhook", content_type: str = "application/json", metadata: str = "{}", payload: bytes = b"{}"
) -> Reading:
    return accept(collector, content_type, metadata, payload)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return written(tmp_path, RULES)


def written(folder: Path, text: str) -> Path:
    path = folder / "routes.yaml"
    path.write_text(text)
    return path


def complaints(folder: Path, text: str) -> list[str]:
    path = written(folder, text)
    with pytest.raises(ConfigurationError) as raised:
        Routes.load(path, SINKS)
    start = f"KRAKENB_ROUTES: {path}: "
    assert str(raised.value).startswith(start)
    return str(raised.value).removeprefix(start).split("; ")


def test_without_a_file_every_reading_goes_to_every_sink() -> None:
    assert Routes.load(None, SINKS).sinks_for(reading(payload=b"no JSON")) == SINKS


@pytest.mark.parametrize(
    ("sent", "sinks"),
    [
        (reading("camera", "image/jpeg"), ("bucket",)),
        (reading("serial2", "IMAGE/png; q=1", payload=b"\xff"), ("bucket",)),
        (reading("camera", "text/plain"), ("redis",)),
        (reading(payload=b'{"temp": 30.5}'), ("influxdb", "slack")),
        (reading(payload=b'{"temp": "60"}'), ("influxdb", "slack")),
        (reading(payload=b'{"temp": 30}'), ("redis",)),
        (reading(payload=b'{"temp": true}'), ("redis",)),
        (reading(payload=b'{"temp": null}'), ("redis",)),
        (reading("mqtt", payload=b'{"temp": 40}'), ("redis",)),
        (reading("mqtt", metadata='{"topic": "site-1/alarm", "retain": false}'), ("slack",)),
        (reading("mqtt", metadata='{"topic": "site-1/alarm", "retain": true}'), ("redis",)),
        (reading("mqtt", metadata='{"topic": "site-1/alarm"}'), ("redis",)),
        (reading("mqtt", payload=b'{"sensors": [{"kind": "door"}, {"kind": "gas"}]}'), SINKS),
        (reading("noise"), ()),
        (reading("noise", metadata='{"topic": "site-1/alarm", "retain": false}'), ("slack",)),
        (reading(payload=b"no JSON"), ("redis",)),
    ],
)
def test_a_reading_goes_to_the_sinks_of_all_rules_that_are_about_it(
    rules: Path, sent: Reading, sinks: tuple[str, ...]
) -> None:
    assert Routes.load(rules, SINKS).sinks_for(sent) == sinks


def test_what_no_rule_is_about_goes_everywhere_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    path = written(tmp_path, "rules: [{collector: camera, to: [bucket]}]")

    assert Routes.load(path, SINKS).sinks_for(reading()) == SINKS


def test_a_payload_is_parsed_only_when_a_rule_looks_into_it(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[Reading] = []

    def parse(self: Reading) -> Any:
        parsed.append(self)
        return {}

    monkeypatch.setattr(Reading, "json", parse)
    fast = written(rules.parent, "rules: [{collector: camera, payload: {$.a: 1}, to: []}]")
    Routes.load(fast, SINKS).sinks_for(reading())
    assert parsed == []

    Routes.load(written(rules.parent, RULES), SINKS).sinks_for(reading())
    assert len(parsed) == 1  # two rules look


def test_all_mistakes_are_told_at_once_with_the_nearest_right_word(tmp_path: Path) -> None:
    text = """
rules:
  - name: warm
    colector: webhook
    payload: {"$.a[": 1, "$.b": {abov: 3, below: cold}, "$.c": {}}
    to: [slak, influxdb1, tape]
  - {collector: [], provider: x, metadata: [], to: redis}
  - no mapping
  - {collector: x}
otherways: []
"""
    found = complaints(tmp_path, text)

    assert found[0] == "the file: there is no `otherways`, did you mean `otherwise`?"
    assert found[1] == "rule 1 (warm): there is no `colector`, did you mean `collector`?"
    assert found[2].startswith("rule 1 (warm): payload: `$.a[` is no JSON path: ")
    assert found[3:] == [
        "rule 1 (warm): payload $.b: there is no `abov`, did you mean `above`?",
        "rule 1 (warm): payload $.b: `below` is no number",
        "rule 1 (warm): payload $.c is empty",
        "rule 1 (warm): to: there is no sink `slak`, did you mean `slack`?",
        "rule 1 (warm): to: `influxdb1` is not switched on: set KRAKENB_INFLUXDB1_HOST",
        "rule 1 (warm): to: there is no sink `tape` (there is bucket, influxdb, influxdb1, mongodb, redis, slack, "
        "webhook, websocket)",
        "rule 2 has both `collector` and `provider`, which mean the same",
        "rule 2: collector is neither a pattern, a list of patterns nor above, at_least, below, at_most",
        "rule 2: metadata is no mapping",
        "rule 2: to is neither a list of sinks nor `all`",
        "rule 3 is no mapping",
        "rule 4 has no `to`: say which sinks its readings go to ([]: none)",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rules: [", "this is no YAML"),
        ("", "a file of routes is a mapping whose `rules` are a list"),
        ("rules: []\nrules: []", "`rules` is there twice"),
        ("\x00", "this is no YAML"),
    ],
)
def test_what_is_no_file_of_routes_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    assert complaint in complaints(tmp_path, text)[0]


def test_without_a_rule_everything_goes_where_the_file_says_otherwise(tmp_path: Path) -> None:
    routes = Routes.load(written(tmp_path, "rules: []\notherwise: [redis]"), SINKS)

    assert routes.sinks_for(reading()) == ("redis",)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"KRAKENB_ROUTES: .*routes.yaml cannot be read"):
        Routes.load(tmp_path / "routes.yaml", SINKS)


def test_a_changed_file_counts_and_a_wrong_one_does_not(rules: Path) -> None:
    routes = Routes.load(rules, SINKS)
    steps: list[tuple[bool, tuple[str, ...]]] = []

    def step() -> None:
        steps.append((routes.reload(), routes.sinks_for(reading())))

    step()
    written(rules.parent, "rules: [{to: [bucket]}]")
    step()
    written(rules.parent, "rules: [{to: [buckets]}]")
    step()
    step()
    rules.unlink()
    step()
    step()
    written(rules.parent, "rules: [{to: [slack]}]")
    step()

    bucket, slack = ("bucket",), ("slack",)
    assert steps == [
        *((False, ("redis",)), (True, bucket), (False, bucket), (False, bucket)),
        *((False, bucket), (False, bucket), (True, slack)),
    ]


def test_a_wrong_file_is_told_once(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("fieldpipe.broker.routing.log.error", lambda _event, reason: told.append(reason))
    routes = Routes.load(rules, SINKS)

    written(rules.parent, "rules: [{to: [buckets]}]")
    routes.reload()
    routes.reload()

    assert told == [f"KRAKENB_ROUTES: {rules}: rule 1: to: there is no sink `buckets`, did you mean `bucket`?"]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)
PATHS = ("$.a", "$.a.b", "$..a", "$.a[0]", "$.a[*].b", "$.a[1:]", "$.*", "$.a.`parent`", "$.c where a")


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Routes:
    """Rules of many paths: what one finds goes to redis, and to slack when it is a number above 0."""
    rules = "".join(
        f"- {{payload: {{'{path}': {{above: 0}}}}, to: [slack]}}\n- {{payload: {{'{path}': '*'}}, to: [redis]}}\n"
        for path in PATHS
    )
    return Routes.load(written(tmp_path_factory.mktemp("routes"), f"rules:\n{rules}otherwise: []"), SINKS)


@given(document=JSON)
def test_no_payload_breaks_a_rule(looking: Routes, document: Any) -> None:
    sinks = looking.sinks_for(reading(payload=json.dumps(document).encode()))

    assert sinks in ((), ("redis",), ("redis", "slack"))
    if isinstance(document, dict) and "a" in document:
        assert "redis" in sinks
