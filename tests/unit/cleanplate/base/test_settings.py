"""Settings: from variables, back into variables; each wrong one is reported in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cleanplate.base.home import stated_home
from cleanplate.base.settings import InvalidSettings, Settings, load_settings
from cleanplate.commands.settings import shown
from workers.shared.heartbeats import FILE_VARIABLE


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
    assert shown(Settings.model_validate({name: value}), name) == seen


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("DATABSE_URL", "there is no such setting; did you mean CLEANPLATE_DATABASE_URL?"),
        ("DATABASE_URL_FIEL", "there is no such setting; did you mean CLEANPLATE_DATABASE_URL_FILE?"),
        ("PORT_FILE", "there is no such setting; did you mean "),
        ("COLOUR_OF_THE_SKY", "there is no such setting; `cleanplate settings` lists all settings."),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_known_name(
    monkeypatch: pytest.MonkeyPatch, name: str, line: str
) -> None:
    monkeypatch.setenv(f"CLEANPLATE_{name}", "postgresql://user:secret@db/name")
    with pytest.raises(InvalidSettings) as refused:
        load_settings()
    assert str(refused.value).startswith(f"CLEANPLATE_{name}: {line}")
    assert "secret" not in str(refused.value)


def test_the_variables_of_client_and_supervisor_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLEANPLATE_URL", "CLEANPLATE_API_KEY", "CLEANPLATE_API_KEY_FILE", FILE_VARIABLE):
        monkeypatch.setenv(name, "/of/others")
    load_settings()


def test_a_secret_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "database-url"
    file.write_text("postgresql://user:secret@db/name\n")
    monkeypatch.setenv("CLEANPLATE_DATABASE_URL_FILE", str(file))
    monkeypatch.setenv("CLEANPLATE_DATABASE_URL", "")
    settings = load_settings()
    assert settings.database_url.get_secret_value() == "postgresql://user:secret@db/name"
    # A child inherits this process's variables and those of the settings.
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_a_file_of_a_secret_that_states_nothing_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLEANPLATE_SIGNING_KEY_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("CLEANPLATE_BROKER_URL_FILE", str(tmp_path / "present"))
    monkeypatch.setenv("CLEANPLATE_BROKER_URL", "redis://localhost")
    with pytest.raises(InvalidSettings) as refused:
        load_settings()
    both, absent = str(refused.value).splitlines()
    assert both == "CLEANPLATE_BROKER_URL_FILE: CLEANPLATE_BROKER_URL is set as well; set one of the two."
    assert absent.startswith("CLEANPLATE_SIGNING_KEY_FILE: the file ") and "No such file" in absent


MAILING = {
    "smtp_host": "mail.shop.example",
    "smtp_sender": "clean@shop.example",
    "mail_recipients": ("@shop.example", "jo@agency.example"),
}


@pytest.mark.parametrize(
    ("given", "blamed"),
    [
        ({"lease_s": 5, "heartbeat_s": 3}, ["LEASE_S"]),
        ({"lease_s": 6, "heartbeat_s": 3}, []),
        ({"s3_access_key_id": "key"}, ["S3_ACCESS_KEY_ID"]),
        ({"s3_access_key_id": "key", "s3_secret_access_key": "secret"}, []),
        ({"coders": 4}, [] if sys.platform == "linux" else ["CODERS"]),
        ({"database_pooler": True}, ["DATABASE_POOLER"]),
        ({"database_pooler": True, "database_url": "postgresql://db/name"}, []),
        ({"database_url": "postgresql://db/name", "broker_url": "redis://queue"}, ["BLOBS_URL"]),
        ({"database_url": "postgresql://db/name", "broker_url": "redis://queue", "blobs_url": "file:///shared"}, []),
        ({"database_url": "postgresql://db/name", "broker_url": "redis://queue", "blobs_url": "s3://bucket"}, []),
        ({"database_url": "postgresql://db/name", "broker_url": "redis://127.0.0.1"}, []),
        ({"database_url": "postgresql://db/name"}, []),
        ({"broker_url": "redis://queue"}, ["DATABASE_URL", "BLOBS_URL"]),
        (MAILING, []),
        ({"smtp_host": "mail.shop.example"}, ["MAIL_RECIPIENTS", "SMTP_SENDER"]),
        ({"mail_recipients": ("@shop.example",)}, ["MAIL_RECIPIENTS"]),
        ({**MAILING, "mail_recipients": ("shop.example", "all of us")}, ["MAIL_RECIPIENTS"]),
        ({**MAILING, "smtp_password": "secret"}, ["SMTP_USER"]),
        ({**MAILING, "smtp_user": "clean", "smtp_password": "secret"}, []),
        ({**MAILING, "smtp_user": "clean", "smtp_password": "secret", "smtp_tls": "none"}, ["SMTP_TLS"]),
    ],
)
def test_settings_that_contradict_each_other_are_one_line(given: dict[str, object], blamed: list[str]) -> None:
    if not blamed:
        load_settings(**given)
        return
    with pytest.raises(InvalidSettings) as refused:
        load_settings(**given)
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [f"CLEANPLATE_{n}" for n in blamed]
