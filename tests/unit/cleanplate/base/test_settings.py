"""Settings: from variables, back into variables; each wrong one is reported in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cleanplate.base.home import stated_home
from cleanplate.base.settings import InvalidSettings, Settings, load_settings
from cleanplate.commands.settings import shown


def test_settings_survive_the_way_through_an_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent = load_settings(
        home=tmp_path,
        database_url="postgresql://user:secret@db/name",
        webhook_schedule_s=(1, 2.5),
        webhook_allow_private=True,
        port=9,
    )
    for name, value in sent.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == sent


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANPLATE_PORT", "1000")
    assert load_settings(port=2000).port == 2000


def test_each_wrong_value_is_one_line_that_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANPLATE_PORT", "many")
    monkeypatch.setenv("CLEANPLATE_DATABASE_URL", "mysql://user:secret@db/name")
    with pytest.raises(InvalidSettings) as refused:
        load_settings()
    lines = str(refused.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["CLEANPLATE_DATABASE_URL", "CLEANPLATE_PORT"]
    assert "postgresql://" in lines[0]
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("value", ["443", "[443", '["https"]', "[]"])
def test_a_list_that_is_no_json_list_of_its_type_is_one_line(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CLEANPLATE_SOURCE_PORTS", value)
    with pytest.raises(InvalidSettings, match=r"^CLEANPLATE_SOURCE_PORTS: .+$"):
        load_settings()


@pytest.mark.parametrize("value", ["~/of-cleanplate", "/srv/cleanplate"])
def test_the_client_finds_the_home_of_the_settings(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CLEANPLATE_HOME", value)
    assert stated_home() == load_settings().home.expanduser()
    monkeypatch.delenv("CLEANPLATE_HOME")
    assert stated_home() == load_settings().home


def test_every_setting_says_what_it_means() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("database_url", "postgresql://user:p:a@ss@db:5/name?sslkey=k", "postgresql://user:••••@db:5/name?sslkey=••••"),
        ("broker_url", "redis://:secret@host:6379/0", "redis://:••••@host:6379/0"),
        ("s3_endpoint_url", "http://user:secret@host", "http://user:••••@host"),
        ("s3_secret_access_key", "secret", "••••"),
        ("s3_secret_access_key", "", ""),
        ("public_url", "https://shop.example", "https://shop.example"),
    ],
)
def test_printed_settings_hold_no_secret(name: str, value: str, seen: str) -> None:
    assert shown(load_settings(**{name: value}), name) == seen
