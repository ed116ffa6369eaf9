"""Settings are read late, once, and complain about everything at once."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_settings import BaseSettings

from fieldpipe import settings
from fieldpipe.errors import ConfigurationError
from fieldpipe.settings import AirflowSettings, StoreSettings, read, split_topics

EXAMPLE = Path(__file__).parents[2] / ".env.example"


def test_every_missing_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MINIO_ENDPOINT", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "AIRFLOW_USER", "AIRFLOW_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIRFLOW_BASE_URL", "http://localhost:8080")

    with pytest.raises(ConfigurationError) as complaint:
        read(StoreSettings, AirflowSettings)

    said = str(complaint.value)
    assert all(n in said for n in ("MINIO_ENDPOINT", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "AIRFLOW_USER"))
    assert "AIRFLOW_BASE_URL" not in said


def test_a_secret_does_not_print_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIO_ENDPOINT", "http://localhost:9000")
    monkeypatch.setenv("MINIO_ACCESS_KEY", "admin")
    monkeypatch.setenv("MINIO_SECRET_KEY", "canary-5531")

    (group,) = read(StoreSettings)

    assert group.secret_key.get_secret_value() == "canary-5531"
    assert "canary" not in repr(group)


@given(st.lists(st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)), st.sampled_from(["", " ", "\t "]))
def test_a_list_of_topics_survives_blanks(topics: list[str], blank: str) -> None:
    assert split_topics(f"{blank},{blank}".join(topics)) == tuple(topics)


def test_the_example_file_lists_every_variable() -> None:
    listed = {line.lstrip("# ").partition("=")[0] for line in EXAMPLE.read_text().splitlines() if "=" in line}

    groups = [g for g in vars(settings).values() if isinstance(g, type) and issubclass(g, BaseSettings)]
    wanted = {
        f"{group.model_config.get('env_prefix', '')}{field}".upper()
        for group in groups
        if group is not BaseSettings
        for field in group.model_fields
    }
    assert wanted <= listed
