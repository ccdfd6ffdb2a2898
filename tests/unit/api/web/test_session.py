"""Who sits at the browser: a key is asked for once, never kept, and its end is the session's end."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from storage.ledger.tenants.tenants import revoke_key
from tests.unit.api.calling import Service
from tests.unit.api.web.conftest import LOCAL_URL, SignIn, token_of

HERE = {"base_url": LOCAL_URL, "environ_overrides": {"REMOTE_ADDR": "127.0.0.1"}}


def test_without_a_session_a_page_leads_to_the_login_and_back(browser: FlaskClient, key: tuple[str, str]) -> None:
    answer = browser.get("/?lang=en")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login?next=/?lang%3Den")
    token = token_of(browser)
    answer = browser.post("/login", data={"csrf_token": token, "key": f" {key[1]}\n", "next": "/?lang=en"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?lang=en")
    assert browser.get("/").status_code == 200


def test_a_wrong_key_opens_nothing(browser: FlaskClient) -> None:
    answer = browser.post("/login", data={"csrf_token": token_of(browser), "key": "cp_wrong"})
    assert answer.status_code == 403
    assert "This key is not valid" in answer.text
    assert browser.get("/").status_code == 302


@pytest.mark.parametrize(
    "there", ["//evil.example", "/\\evil.example", "https://evil.example/", "javascript:1", "/a\nb"]
)
def test_the_login_leads_nowhere_else(browser: FlaskClient, key: tuple[str, str], there: str) -> None:
    data = {"csrf_token": token_of(browser), "key": key[1], "next": there}
    assert browser.post("/login", data=data).headers["Location"] == "/"


def test_the_cookie_is_out_of_reach_and_holds_no_key(
    browser: FlaskClient, key: tuple[str, str], sign_in: SignIn
) -> None:
    sign_in(browser, key[1])
    cookie = browser.get("/").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert key[1] not in cookie


def test_a_service_behind_tls_binds_its_cookie_to_its_own_name(local_service: Service) -> None:
    from api.web import session

    local_service.app.config["PUBLIC_URL"] = "https://clean.example"
    session.register(local_service.app)
    assert local_service.app.config["SESSION_COOKIE_NAME"].startswith("__Host-")
    assert local_service.app.config["SESSION_COOKIE_SECURE"]


def test_a_revoked_key_ends_its_sessions(
    service: Service, browser: FlaskClient, key: tuple[str, str], sign_in: SignIn
) -> None:
    sign_in(browser, key[1])
    assert browser.get("/v1/jobs").status_code == 200
    revoke_key(service.stores.database, key[0])
    assert browser.get("/v1/jobs").status_code == 401
    assert browser.get("/").status_code == 302


def test_an_altered_cookie_is_no_session(browser: FlaskClient, key: tuple[str, str], sign_in: SignIn) -> None:
    sign_in(browser, key[1])
    name = browser.application.config["SESSION_COOKIE_NAME"]
    cookie = browser.get_cookie(name)
    assert cookie is not None
    browser.set_cookie(name, cookie.value[:-2] + "xx")
    assert browser.get("/v1/jobs").status_code == 401


def test_signing_out_forgets_the_session(browser: FlaskClient, key: tuple[str, str], sign_in: SignIn) -> None:
    sign_in(browser, key[1])
    assert browser.post("/logout", data={"csrf_token": token_of(browser, "/")}).status_code == 303
    assert browser.get("/v1/jobs").status_code == 401


def test_a_key_in_the_header_wins_over_the_session(
    service: Service, browser: FlaskClient, key: tuple[str, str], sign_in: SignIn
) -> None:
    sign_in(browser, key[1])
    other = service.caller("another shop")
    other.submit()
    assert len(browser.get("/v1/jobs", headers=other.headers).json["data"]) == 1
    assert browser.get("/v1/jobs").json["data"] == []
    assert browser.get("/v1/jobs", headers={"Authorization": "Bearer cp_wrong"}).status_code == 401


def test_a_browser_of_the_machine_needs_no_key(local_service: Service) -> None:
    browser = local_service.app.test_client()
    assert browser.get("/", **HERE).status_code == 200
    assert browser.get("/v1/jobs", **HERE).status_code == 200


@pytest.mark.parametrize(
    "how",
    [
        {"base_url": "http://evil.example:8787"},
        {"environ_overrides": {"REMOTE_ADDR": "10.1.2.3"}},
        {"headers": {"X-Forwarded-For": "10.1.2.3"}},
        {"headers": {"Forwarded": "for=10.1.2.3"}},
    ],
)
def test_others_need_a_key_also_there(local_service: Service, how: dict[str, object]) -> None:
    browser = local_service.app.test_client()
    answer = browser.get("/", **{**HERE, **how})
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/login")
    assert browser.get("/v1/jobs", **{**HERE, **how}).status_code == 401


def test_another_name_of_the_machine_leads_to_the_one_in_links(local_service: Service) -> None:
    answer = local_service.app.test_client().get("/?lang=en", base_url="http://localhost:8787")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{LOCAL_URL}/?lang=en")


def test_requests_without_a_cookie_make_no_signing_key(service: Service) -> None:
    service.app.test_client().get("/healthz")
    assert not (service.settings.home / "signing-key").exists()
