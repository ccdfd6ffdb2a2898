"""A session's changing requests must come from the page: with its token, and not from another site."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.unit.api.calling import PUBLIC_URL
from tests.unit.api.web.conftest import SignIn, token_of

UPLOAD = {"files": [{"filename": "a.jpg", "content_type": "image/jpeg"}]}


@pytest.fixture
def signed_in(browser: FlaskClient, key: tuple[str, str], sign_in: SignIn) -> FlaskClient:
    sign_in(browser, key[1])
    return browser


def test_the_page_may_change_things(signed_in: FlaskClient) -> None:
    headers = {"X-CSRF-Token": token_of(signed_in, "/"), "Origin": PUBLIC_URL}
    assert signed_in.post("/v1/uploads", json=UPLOAD, headers=headers).status_code == 201


@pytest.mark.parametrize("token", [None, "", "x", "IjAi.aaaa.bbbb"])
def test_without_the_token_nothing_changes(signed_in: FlaskClient, token: str | None) -> None:
    headers = {} if token is None else {"X-CSRF-Token": token}
    answer = signed_in.post("/v1/uploads", json=UPLOAD, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (403, "forgery_suspected")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://cleanplate.test:1"])
def test_another_site_changes_nothing_even_with_the_token(signed_in: FlaskClient, origin: str) -> None:
    headers = {"X-CSRF-Token": token_of(signed_in, "/"), "Origin": origin}
    answer = signed_in.post("/v1/uploads", json=UPLOAD, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (403, "forgery_suspected")


def test_the_token_of_another_session_is_none(service_token: str, signed_in: FlaskClient) -> None:
    answer = signed_in.post("/v1/uploads", json=UPLOAD, headers={"X-CSRF-Token": service_token})
    assert answer.status_code == 403


@pytest.fixture
def service_token(browser: FlaskClient) -> str:
    return token_of(browser.application.test_client())


def test_a_page_that_stayed_open_gets_the_token_to_go_on_with(signed_in: FlaskClient) -> None:
    token = signed_in.get("/session").json["token"]
    assert signed_in.post("/v1/uploads", json=UPLOAD, headers={"X-CSRF-Token": token}).status_code == 201


def test_without_a_session_there_is_no_token_to_go_on_with(browser: FlaskClient) -> None:
    assert browser.get("/session").json["code"] == "key_missing"


def test_the_login_itself_needs_the_token(browser: FlaskClient, key: tuple[str, str]) -> None:
    assert browser.post("/login", data={"key": key[1]}).status_code == 403
    assert browser.get("/").status_code == 302
