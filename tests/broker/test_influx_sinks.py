"""The sinks of InfluxDB 1 and 2: what a real InfluxDB makes of our lines, and what its answers mean."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from fieldpipe.broker.sinks import influxdb, influxdb1
from fieldpipe.broker.sinks.sink import Sink, SinkRefused, SinkUnavailable
from tests.broker.database_servers import PASSWORD, USER, Influx
from tests.broker.places import Place, influx_place
from tests.broker.stand_ins import Answer, http_server
from tests.unit.broker.readings import START, reading

AWKWARD = 'a,b=c d"e\\'


@pytest.fixture
def database(influx: Influx) -> str:
    """A new one."""
    return influx.create_database()


def sink_of(influx: Influx, database: str, tags: str = "") -> influxdb1.Influxdb1Sink:
    account = {"user": USER, "password": SecretStr(PASSWORD)}
    settings = influxdb1.Influxdb1Settings(host=influx.server.url, database=database, tags=tags, **account)
    return influxdb1.Influxdb1Sink(settings)


def test_a_point_has_what_the_reading_had(influx: Influx, database: str) -> None:
    payload = b'{"temp":25,"name":"env","on":true,"time":"noon","place":{"floor":2}}'
    found = reading(1, payload, collector="mqtt", metadata='{"topic":"hall"}')

    sink_of(influx, database).deliver([found])

    assert influx.query("SELECT * FROM mqtt", database) == [
        {
            "time": START + 1_000_000,
            "device": "hall",
            "metadata_topic": "hall",
            "name": "env",
            "on": True,
            "place_floor": 2,
            "temp": 25,
            "time_": "noon",
        }
    ]


@pytest.mark.parametrize(
    "text", [AWKWARD, "two\nlines\r\n", "温度 🌡", "'; DROP DATABASE x", "x" * 100_000, "a\tb\\n\\", "#"]
)
def test_any_text_comes_back_as_it_was(influx: Influx, database: str, text: str) -> None:
    found = reading(1, text.encode(), collector="textfile", content_type="text/plain")

    sink_of(influx, database).deliver([found, reading(2, b"next", collector="textfile")])

    assert [row["text"] for row in influx.query("SELECT * FROM textfile", database)] == [text, "next"]


def test_any_name_is_a_name(influx: Influx, database: str) -> None:
    found = reading(
        1, b'{"a,b=c d\\"e\\\\":1,"":2,"\\u6e29":3}', collector="#" + AWKWARD, metadata='{"device":"x,y=z \\\\"}'
    )

    sink_of(influx, database).deliver([found, reading(2, b"1")])

    (name,) = [row["name"] for row in influx.query("SHOW MEASUREMENTS", database) if row["name"] != "webhook"]
    assert name == '_#a,b=c d"e/'
    (row,) = influx.query("SELECT * FROM /_#/", database)
    assert {key: value for key, value in row.items() if key != "time"} == {
        "device": "x,y=z /",
        'a,b=c d"e/': 1,
        "_": 2,
        "温": 3,
        "metadata_device": "x,y=z \\",
    }


def test_fields_that_were_made_tags_group_series(influx: Influx, database: str) -> None:
    sink_of(influx, database, "id, name").deliver([reading(n, b'{"id":"%d","temp":%d}' % (n % 2, n)) for n in range(4)])

    assert influx.query("SELECT sum(temp) FROM webhook GROUP BY id", database) == [
        {"id": "0", "time": 0, "sum": 2},
        {"id": "1", "time": 0, "sum": 4},
    ]


def test_a_value_of_another_type_costs_its_own_reading_only(influx: Influx, database: str) -> None:
    sink = sink_of(influx, database)
    sink.deliver([reading(1, b'{"temp":20}')])
    batch = [reading(2, b'{"temp":21}'), reading(3, b'{"temp":"warm"}'), reading(4, b'{"temp":22}')]

    with pytest.raises(SinkRefused, match="field type conflict"):
        sink.deliver(batch)
    sink.deliver(batch[:1])
    sink.deliver(batch[2:])
    with pytest.raises(SinkRefused, match="temp"):
        sink.deliver(batch[1:2])

    assert [row["temp"] for row in influx.query("SELECT temp FROM webhook", database)] == [20, 21, 22]


def test_a_database_that_is_not_there_is_waited_for(influx: Influx, database: str) -> None:
    sink = sink_of(influx, f"{database}_2")

    with pytest.raises(SinkUnavailable, match="CREATE DATABASE"):
        sink.deliver([reading(1)])
    influx.query(f"CREATE DATABASE {database}_2")
    sink.deliver([reading(1)])

    assert len(influx.query("SELECT * FROM webhook", f"{database}_2")) == 1


def test_an_influxdb_that_was_killed_has_what_it_acknowledged(influx: Influx) -> None:
    place: Place = influx_place(influx, 1)
    place.sink().deliver([reading(n, b'{"n":%d}' % n) for n in range(1000)])
    influx.kill()
    influx.start()

    place.sink().deliver([reading(n, b'{"n":%d}' % n) for n in range(990, 1010)])

    assert place.numbers() == list(range(1010))


def version_1(url: str) -> Sink:
    return influxdb1.Influxdb1Sink(influxdb1.Influxdb1Settings(host=url, database="d"))


def version_2(url: str) -> Sink:
    token = SecretStr("canary-4711")
    return influxdb.InfluxdbSink(influxdb.InfluxdbSettings(host=url, api_token=token, org="o", bucket="b"))


both = pytest.mark.parametrize("open_sink", [version_1, version_2])


@both
@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(429, b"too many", {"Retry-After": "17"}), 17),
        (Answer(503, b"", {"retry-after": "3"}), 3),
        (Answer(503, b"overloaded"), None),
        (Answer(500, b'{"code":"internal error"}'), None),
        (Answer(401, b'{"code":"unauthorized"}'), None),
        (Answer(403), None),
        (Answer(404, b'{"code":"not found"}'), None),
        (Answer(200, b"<html>Welcome to the guest network"), None),
        (Answer(302, b"", {"Location": "http://127.0.0.1:1/"}), None),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
def test_an_answer_that_is_no_word_on_the_readings_makes_them_wait(
    open_sink: Callable[[str], Sink], answer: Answer, seconds: float | None
) -> None:
    with http_server(answer) as server, pytest.raises(SinkUnavailable, match=str(answer.status)) as found:
        open_sink(server.url).deliver([reading(1)])

    assert found.value.retry_after == seconds
    assert "canary" not in str(found.value)


@both
@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_answer_on_the_readings_is_told(open_sink: Callable[[str], Sink], status: int) -> None:
    answer = Answer(status, b'{"message":"partial write: ' + b"x" * 5000 + b'"}')

    with http_server(answer) as server, pytest.raises(SinkRefused, match="partial write") as found:
        open_sink(server.url).deliver([reading(1)])

    assert len(str(found.value)) < 500


def test_version_2_is_told_where_and_by_whom() -> None:
    with http_server(Answer(204, b"")) as server:
        version_2(server.url).deliver([reading(1), reading(2, b"1")])

    (request,) = server.requests
    assert request.path.endswith("/api/v2/write?org=o&bucket=b&precision=ns")
    assert request.headers["Authorization"] == "Token canary-4711"
    assert request.body.decode().splitlines() == [
        f"webhook temp=25.6 {START + 1_000_000}",
        f"webhook value=1.0 {START + 2_000_000}",
    ]
