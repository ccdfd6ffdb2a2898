"""Sessions: a key is requested once and never stored, and a session ends with its key."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cleanplate.base.settings import Settings
from storage.ledger.tenants.sessions import create_login_link
from storage.ledger.tenants.tenants import revoke_key
from tests.unit.api.calling import MakeService, Service
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


def test_a_copied_cookie_is_worth_nothing_after_signing_out(
    service: Service, browser: FlaskClient, key: tuple[str, str], sign_in: SignIn
) -> None:
    sign_in(browser, key[1])
    thief = copy_of(browser)
    assert thief.get("/v1/jobs").status_code == 200
    browser.post("/logout", data={"csrf_token": token_of(browser, "/")})
    assert thief.get("/v1/jobs").status_code == 401
    assert thief.get("/").status_code == 302


def test_a_copied_cookie_is_worth_nothing_after_the_key_is_revoked(
    service: Service, browser: FlaskClient, key: tuple[str, str], sign_in: SignIn
) -> None:
    sign_in(browser, key[1])
    thief = copy_of(browser)
    revoke_key(service.stores.database, key[0])
    assert thief.get("/v1/jobs").status_code == 401


def test_signing_out_ends_one_session_of_a_key(
    service: Service, browser: FlaskClient, key: tuple[str, str], sign_in: SignIn
) -> None:
    other = service.app.test_client()
    for each in (browser, other):
        sign_in(each, key[1])
    browser.post("/logout", data={"csrf_token": token_of(browser, "/")})
    assert other.get("/v1/jobs").status_code == 200


def copy_of(browser: FlaskClient) -> FlaskClient:
    """Another browser with the same cookie."""
    name = browser.application.config["SESSION_COOKIE_NAME"]
    cookie = browser.get_cookie(name)
    assert cookie is not None
    copy = browser.application.test_client()
    copy.set_cookie(name, cookie.value)
    return copy


def test_a_key_in_the_header_wins_over_the_session(
    service: Service, browser: FlaskClient, key: tuple[str, str], sign_in: SignIn
) -> None:
    sign_in(browser, key[1])
    other = service.caller("another shop")
    other.submit()
    assert len(browser.get("/v1/jobs", headers=other.headers).json["data"]) == 1
    assert browser.get("/v1/jobs").json["data"] == []
    assert browser.get("/v1/jobs", headers={"Authorization": "Bearer cp_wrong"}).status_code == 401


@pytest.mark.parametrize("path", ["/", "/admin", "/jobs", "/jobs/new"])
def test_a_request_that_looks_local_needs_a_session_too(local_service: Service, path: str) -> None:
    """A proxy on this machine sends every request from a loopback address, with this machine as the host."""
    browser = local_service.app.test_client()
    answer = browser.get(path, **HERE)
    assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (302, "/login")
    assert browser.get("/v1/jobs", **HERE).status_code == 401
    assert browser.get("/session", **HERE).status_code == 401


def use_link(browser: FlaskClient, secret: str) -> TestResponse:
    """Send the request of a one-time link's page."""
    return browser.post("/login/link", data={"csrf_token": token_of(browser, "/login/link"), "link": secret})


@pytest.fixture
def link(service: Service, key: tuple[str, str]) -> str:
    """The secret of a link that signs in with the shop's key."""
    return create_login_link(service.stores.database, key[0], lifetime_s=60)


def test_a_link_signs_one_browser_in_once(service: Service, browser: FlaskClient, link: str) -> None:
    assert (use_link(browser, link).status_code, browser.get("/v1/jobs").status_code) == (303, 200)
    second = service.app.test_client()
    refused = use_link(second, link)
    assert refused.status_code == 403
    assert "This link no longer works" in refused.text
    assert "cleanplate link" in refused.text
    assert second.get("/v1/jobs").status_code == 401


def test_a_link_is_for_the_page_alone(browser: FlaskClient, link: str) -> None:
    assert browser.post("/login/link", data={"link": link}).status_code == 403
    assert use_link(browser, link).status_code == 303


def test_a_link_that_no_longer_works_does_not_sign_out(
    browser: FlaskClient, key: tuple[str, str], sign_in: SignIn
) -> None:
    sign_in(browser, key[1])
    assert use_link(browser, "used").headers["Location"] == "/"
    assert browser.get("/v1/jobs").status_code == 200


@pytest.mark.parametrize("secret", ["", "x", "' --", "x" * 5000])
def test_a_strange_link_opens_nothing(browser: FlaskClient, link: str, secret: str) -> None:
    assert use_link(browser, secret).status_code == 403
    assert browser.get("/").status_code == 302


def test_a_service_with_a_database_of_its_own_names_no_command_for_a_link(
    make_service: MakeService, server_settings: Settings
) -> None:
    assert "cleanplate link" not in make_service(server_settings).app.test_client().get("/login").text


def test_another_name_of_the_machine_leads_to_the_one_in_links(local_service: Service) -> None:
    answer = local_service.app.test_client().get("/?lang=en", base_url="http://localhost:8787")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{LOCAL_URL}/?lang=en")


def test_requests_without_a_cookie_make_no_signing_key(service: Service) -> None:
    service.app.test_client().get("/healthz")
    assert not (service.settings.home / "signing-key").exists()
