"""Rehearses the change of the key that signs, as docs/maintenance.md has it: what ends, and what does not."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.ledger.tenants.sessions import create_login_link
from storage.ledger.tenants.tenants import create_key, revoke_key
from tests.unit.api.calling import Caller, MakeService, picture
from tests.unit.api.web.conftest import SignIn, token_of

Change = Callable[[Settings], Settings]


def another_key(settings: Settings) -> Settings:
    return settings.model_copy(update={"signing_key": SecretStr(secrets.token_hex(32))})


def without_its_file(settings: Settings) -> Settings:
    """As after the deletion of the file in the home folder, which the next start writes anew."""
    (settings.home / "signing-key").unlink()
    return settings


@pytest.mark.parametrize(
    ("before", "change"), [(another_key, another_key), (lambda settings: settings, without_its_file)]
)
def test_another_signing_key_ends_sessions_and_links_and_nothing_else(
    make_service: MakeService, embedded_settings: Settings, sign_in: SignIn, before: Change, change: Change
) -> None:
    settings = before(embedded_settings)
    old = make_service(settings)
    made, secret = create_key(old.stores.database, old.tenant("shop"), "page")
    job = Caller(old, secret).submit()
    files = {"files": [{"filename": "late.png", "content_type": "image/png"}]}
    [pending] = Caller(old, secret).post("/v1/uploads", 201, json=files).json["uploads"]
    login = create_login_link(old.stores.database, made.id, lifetime_s=3600)
    person = old.app.test_client()
    sign_in(person, secret)
    cookie = person.get_cookie(old.app.config["SESSION_COOKIE_NAME"])
    assert cookie is not None
    assert person.get("/v1/jobs").status_code == 200

    settings = change(settings)
    new = make_service(settings)
    returning = new.app.test_client()
    returning.set_cookie(new.app.config["SESSION_COOKIE_NAME"], cookie.value)
    assert returning.get("/v1/jobs").status_code == 401
    assert returning.get("/").status_code == 302
    caller = Caller(new, secret)
    sent = {"headers": pending["headers"], "data": picture("PNG")}
    caller.problem(pending["method"], pending["url"], 403, "link_invalid", **sent)

    assert caller.get(f"/v1/jobs/{job['id']}").json["id"] == job["id"]
    caller.submit()
    sign_in(returning, secret)
    assert returning.get("/v1/jobs").status_code == 200
    # The one-time link of before is a row of the ledger, and no signature.
    assert opens(new.app.test_client(), login) == 303


def opens(browser: FlaskClient, login: str) -> int:
    return browser.post("/login/link", data={"csrf_token": token_of(browser), "link": login}).status_code


def test_an_api_key_is_followed_by_another_that_sees_the_same(
    make_service: MakeService, embedded_settings: Settings
) -> None:
    service = make_service(embedded_settings)
    first, first_secret = create_key(service.stores.database, service.tenant("shop"), "import")
    job = Caller(service, first_secret).submit()
    _, second_secret = create_key(service.stores.database, service.tenant("shop"), "import")
    for secret in (first_secret, second_secret):
        assert Caller(service, secret).get(f"/v1/jobs/{job['id']}").json["id"] == job["id"]
    revoke_key(service.stores.database, first.id)
    Caller(service, first_secret).problem("GET", "/v1/jobs", 401, "key_wrong")
    assert Caller(service, second_secret).get(f"/v1/jobs/{job['id']}").json["id"] == job["id"]
