"""Routes: which object starts which DAG, and what a wrong routes file is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldpipe.errors import ConfigurationError
from fieldpipe.events.routes import Route, Routes, load_routes

OUTPUT = "processed-data"


def routes(*patterns: str) -> Routes:
    return Routes([Route(name="r", bucket="raw-data", patterns=patterns, dag_id="d")], output_bucket=OUTPUT)


def test_default_file_sends_recordings_to_their_dag():
    loaded = load_routes(None, output_bucket=OUTPUT)
    route = loaded.match("raw-data", "2026/run.mcap")
    assert route is not None
    assert (route.name, route.dag_id, route.batch_limit, route.max_runs) == ("recordings", "recording_to_csv", 100, 4)
    assert (loaded.buckets, loaded.required_buckets) == (("picamera", "raw-data"), ("raw-data",))


def test_default_file_sends_manifests_of_frames_to_their_dag_and_images_nowhere():
    loaded = load_routes(None, output_bucket=OUTPUT)
    route = loaded.match("picamera", "_manifests/cam/1/0/0000000000000000/00000000000000000042.json")
    assert route is not None
    assert (route.name, route.dag_id, route.optional) == ("frames", "frames_to_csv", True)
    assert loaded.match("picamera", "topics/cam/year=2023/month=11/day=15/hour=07/cam+0+0000000042.jpg") is None
    assert loaded.prefixes("picamera") == ("_manifests/",)


def test_route_that_is_not_in_the_file_has_room_for_one_run():
    assert (routes("*").max_runs("r"), routes("*").max_runs("frames")) == (4, 1)


@pytest.mark.parametrize(("value", "bucket"), [("garden", "garden"), ("", "picamera"), (None, "picamera")])
def test_bucket_of_the_cameras_is_the_one_of_the_setting(monkeypatch, value, bucket):
    monkeypatch.delenv("CAMERA_BUCKET", raising=False)
    if value is not None:
        monkeypatch.setenv("CAMERA_BUCKET", value)
    assert load_routes(None, output_bucket=OUTPUT).by_name["frames"].bucket == bucket


def test_bucket_of_an_optional_and_another_route_is_ours():
    optional = Route(name="a", bucket="raw-data", patterns=("a/*",), dag_id="d", optional=True)
    both = Routes([optional, optional.model_copy(update={"name": "b", "optional": False})], output_bucket=OUTPUT)
    assert both.required_buckets == ("raw-data",)


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("**/*.mcap", "run.mcap", True),
        ("**/*.mcap", "a/b/run.mcap", True),
        ("**/*.mcap", "a/run.MCAP", True),
        ("**/*.mcap", "a//run.mCaP", True),
        ("**/*.mcap", "line\nfeed.mcap", True),
        ("**/*.mcap", "run.mcap.txt", False),
        ("**/*.mcap", "runmcap", False),
        ("*.mcap", "run.mcap", True),
        ("*.mcap", "a/run.mcap", False),
        ("lab/**/*.mcap", "lab/run.mcap", True),
        ("lab/**/*.mcap", "lab/1/2/run.mcap", True),
        ("lab/**/*.mcap", "LAB/run.mcap", False),
        ("run-?.csv", "run-1.CSV", True),
        ("run-?.csv", "run-12.csv", False),
        ("frames/**", "frames/2026/1.jpg", True),
        ("a.b/*", "a.b/x", True),
        ("a.b/*", "aXb/x", False),
    ],
)
def test_pattern(pattern, key, matches):
    assert (routes(pattern).match("raw-data", key) is not None) is matches


@pytest.mark.parametrize(
    ("patterns", "prefixes"),
    [
        (["**/*.mcap"], ("",)),
        (["_manifests/**/*.json"], ("_manifests/",)),
        (["lab/run-?.csv"], ("lab/run-",)),
        (["lab/run.CSV"], ("lab/run",)),
        (["lab/readme"], ("lab/readme",)),
        (["b/*", "a/x/*", "a/*"], ("a/", "b/")),
        (["a/*", "**/*.mcap"], ("",)),
    ],
)
def test_only_what_a_wanted_key_can_begin_with_is_listed(patterns, prefixes):
    assert routes(*patterns).prefixes("raw-data") == prefixes


@given(
    patterns=st.lists(st.text("ab*?/.", min_size=1, max_size=8), min_size=1, max_size=3),
    key=st.text("abB/.", min_size=1, max_size=8),
)
def test_every_key_that_matches_lies_behind_exactly_one_prefix(patterns, key):
    wanted = routes(*patterns)
    behind = [prefix for prefix in wanted.prefixes("raw-data") if key.startswith(prefix)]
    assert len(behind) == 1 if wanted.match("raw-data", key) else len(behind) <= 1


def test_other_bucket_does_not_match():
    assert routes("**/*.mcap").match("elsewhere", "run.mcap") is None


def test_first_match_wins():
    first = Route(name="lab", bucket="raw-data", patterns=("lab/*.mcap",), dag_id="special")
    second = Route(name="all", bucket="raw-data", patterns=("**/*.mcap",), dag_id="general")
    both = Routes([first, second], output_bucket=OUTPUT)
    assert (both.match("raw-data", "lab/a.mcap"), both.match("raw-data", "a.mcap")) == (first, second)


@pytest.mark.parametrize(("bucket", "key"), [(OUTPUT, "run/x.mcap"), ("raw-data", "_runs/fp.r.1/3.1.json")])
def test_own_output_never_triggers(bucket, key):
    everything = routes("**")
    assert everything.is_output(bucket, key)
    assert everything.match(bucket, key) is None


def test_every_mistake_of_the_file_is_named_at_once(tmp_path):
    file = tmp_path / "routes.toml"
    file.write_text(
        """
        [[route]]
        name = "Bad Name"
        bucket = "raw-data"
        patterns = []
        dag_id = "d"
        typo = 1
        [[route]]
        bucket = "raw-data"
        patterns = ["*"]
        dag_id = "no spaces allowed"
        max_runs = 0
        """
    )
    with pytest.raises(ConfigurationError) as caught:
        load_routes(file, output_bucket=OUTPUT)
    mistakes = ["0.name", "0.patterns", "0.typo", "1.name", "1.dag_id", "1.max_runs"]
    assert [mistake for mistake in mistakes if mistake not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "route: Field required"),
        ("route = [", "routes.toml"),
        ('[[route]]\nname="a"\nbucket="processed-data"\npatterns=["*"]\ndag_id="d"', "it would never trigger"),
        ('[[route]]\nname="a"\nbucket="raw"\npatterns=["*"]\ndag_id="d"\n' * 2, "two routes are named a"),
    ],
)
def test_contradictory_file_is_refused(tmp_path, text, said):
    file = tmp_path / "routes.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        load_routes(file, output_bucket=OUTPUT)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        load_routes(tmp_path / "nowhere.toml", output_bucket=OUTPUT)
