"""Browsers of a service in this process, each with separate cookies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from cleanplate.base.settings import Settings
from storage.ledger.tenants.tenants import create_key
from tests.unit.api.calling import MakeService, Service

LOCAL_URL = "http://127.0.0.1:8787"


@pytest.fixture
def browser(service: Service) -> FlaskClient:
    """A browser that has not signed in."""
    return service.app.test_client()


@pytest.fixture
def key(service: Service) -> tuple[str, str]:
    """The id and the secret of a key of the shop's."""
    made, secret = create_key(service.stores.database, service.tenant("shop"), "page")
    return made.id, secret


@pytest.fixture
def local_service(make_service: MakeService, embedded_settings: Settings) -> Service:
    """A service with the settings of ``up``: its address is this machine's."""
    return make_service(embedded_settings, public_url=LOCAL_URL)


SignIn = Callable[[FlaskClient, str], None]


@pytest.fixture
def sign_in() -> SignIn:
    """Sign a browser in with a key's secret, as a person does."""

    def do(browser: FlaskClient, secret: str) -> None:
        answer = browser.post("/login", data={"csrf_token": token_of(browser), "key": secret})
        assert answer.status_code == 303, answer.text

    return do


def token_of(browser: FlaskClient, path: str = "/login", **rest: object) -> str:
    """The CSRF token in a page."""
    text = browser.get(path, follow_redirects=True, **rest).text  # type: ignore[arg-type]
    return text.partition('name="csrf-token" content="')[2].partition('"')[0]
