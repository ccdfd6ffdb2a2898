"""The service below a path of a host: with proxies that remove the path, and with proxies that pass it on."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from api.app import create_app
from api.under_path import path_below
from cleanplate.base.settings import Settings
from storage.database import Database
from storage.ledger.tenants.tenants import create_key, ensure_tenant

PATH = "/shop/cleanplate"
PUBLIC_URL = f"https://host.example{PATH}/"


@pytest.fixture
def browser(embedded_settings: Settings) -> FlaskClient:
    return create_app(embedded_settings.model_copy(update={"public_url": PUBLIC_URL})).test_client()


@pytest.fixture
def key(embedded_settings: Settings) -> str:
    database = Database.connect(embedded_settings.sqlalchemy_url)
    try:
        return create_key(database, ensure_tenant(database, "shop"), "page")[1]
    finally:
        database.close()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://host.example", ""),
        ("https://host.example/", ""),
        ("https://host.example/a", "/a"),
        ("https://host.example/a/b/", "/a/b"),
    ],
)
def test_the_path_is_the_public_addresses(url: str, path: str) -> None:
    assert path_below(url) == path


@pytest.mark.parametrize("passed_on", [PATH, ""])
def test_every_address_is_served_with_the_path_and_without(browser: FlaskClient, passed_on: str) -> None:
    assert browser.get(f"{passed_on}/healthz").json == {"status": "ok"}
    answer = browser.get(f"{passed_on}/v1/jobs")
    assert answer.status_code == 401
    assert answer.json is not None
    assert answer.json["type"].startswith(f"https://host.example{PATH}/problems/")
    assert browser.get(f"{passed_on}/openapi.json").json["servers"] == [{"url": PUBLIC_URL.rstrip("/")}]  # type: ignore[index]
    assert browser.get(f"{PATH}{PATH}/healthz").status_code == 404
    assert browser.get(f"{PATH}elsewhere/healthz").status_code == 404


@pytest.mark.parametrize("passed_on", [PATH, ""])
def test_pages_lead_to_addresses_below_the_path(browser: FlaskClient, passed_on: str, key: str) -> None:
    sent_away = browser.get(f"{passed_on}/jobs?state=queued")
    assert sent_away.headers["Location"] == f"{PATH}/login?next=/jobs?state%3Dqueued"
    page = browser.get(f"{passed_on}/login?next=/jobs", base_url="https://host.example")
    assert f'data-below="{PATH}"' in page.text
    token = page.text.partition('name="csrf-token" content="')[2].partition('"')[0]
    signed_in = browser.post(
        f"{passed_on}/login",
        data={"csrf_token": token, "key": key, "next": "/jobs"},
        base_url="https://host.example",
        headers={"Origin": "https://host.example", "Referer": f"https://host.example{PATH}/login"},
    )
    assert signed_in.status_code == 303, signed_in.text
    assert signed_in.headers["Location"] == f"{PATH}/jobs"
    for path in ("/", "/jobs", "/jobs/new", "/docs", "/nowhere"):
        text = browser.get(f"{passed_on}{path}", base_url="https://host.example", headers={"Accept": "text/html"}).text
        leads = re.findall(r'(?:href|src|action|hx-get)="(/[^"]*)"', text)
        assert leads, path
        assert all(lead.startswith(f"{PATH}/") for lead in leads), leads


def test_two_services_of_one_host_keep_their_sessions_apart(embedded_settings: Settings) -> None:
    names = {
        str(create_app(embedded_settings.model_copy(update={"public_url": url})).config["SESSION_COOKIE_NAME"])
        for url in ("https://host.example", "https://host.example/a", "https://host.example/a/b")
    }
    assert len(names) == 3
    assert all(name.startswith("__Host-") for name in names)
