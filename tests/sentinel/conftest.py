"""What the tests of the sentinel share."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from fieldpipe.sentinel.schema import connect, migrate
from fieldpipe.settings import MysqlSettings, SentinelSettings


@pytest.fixture
def engine(sql_url: str) -> Iterator[Engine]:
    """The mirror's tables, empty, in a database of each kind."""
    engine = connect(SentinelSettings(url=SecretStr(sql_url)), MysqlSettings())
    migrate(engine)
    yield engine
    engine.dispose()
