"""A session's changing requests must come from the page: with its token, and not from another site."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.unit.api.calling import PUBLIC_URL, Service
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


#: Links carry their own rights, and take no session.
_BY_LINK = "blobs"


def changing_routes(service: Service) -> list[tuple[str, str]]:
    """Method and path of every route that may change something, pages included."""
    return [
        (method, re.sub(r"<[^>]*>", "none_1", rule.rule))
        for rule in service.app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] != _BY_LINK
        for method in sorted(rule.methods or ())
        if method not in {"GET", "HEAD", "OPTIONS"}
    ]


def test_no_route_changes_anything_by_a_session_that_another_page_uses(
    service: Service, signed_in: FlaskClient
) -> None:
    token = token_of(signed_in, "/")
    forged: list[dict[str, str]] = [
        {},
        {"X-CSRF-Token": "x"},
        {"X-CSRF-Token": token, "Origin": "https://evil.example"},
        {"X-CSRF-Token": token, "Origin": "null"},
        {"X-CSRF-Token": token, "Referer": "https://evil.example/page"},
        {"X-CSRF-Token": token, "Referer": f"https://evil.example/?{PUBLIC_URL}"},
        {"Origin": PUBLIC_URL, "Sec-Fetch-Site": "same-origin"},
    ]
    bodies: list[dict[str, Any]] = [{"json": {}}, {"data": {"csrf_token": "x"}}, {"data": b"{}"}]
    routes = changing_routes(service)
    assert {("POST", "/v1/jobs"), ("POST", "/admin/keys"), ("POST", "/login"), ("POST", "/logout")} <= {*routes}
    for method, path in routes:
        for headers, body in zip(forged, itertools.cycle(bodies)):
            answer = signed_in.open(path, method=method, headers=headers, **body)
            assert (answer.status_code, answer.json["code"]) == (403, "forgery_suspected"), (method, path, headers)


def test_a_page_that_names_itself_as_the_referrer_may_change_things(signed_in: FlaskClient) -> None:
    headers = {"X-CSRF-Token": token_of(signed_in, "/"), "Referer": f"{PUBLIC_URL}/jobs/new"}
    assert signed_in.post("/v1/uploads", json=UPLOAD, headers=headers).status_code == 201
