"""Operations: who sees whose."""

from __future__ import annotations

import re

from flask.testing import FlaskClient

from storage.ledger.tenants import create_key, list_keys
from storage.records import Scope
from tests.unit.api.calling import Service


def signed_in(service: Service, tenant: str, *scopes: Scope) -> FlaskClient:
    """A browser that has shown a key of this tenant."""
    _, secret = create_key(service.stores.database, service.tenant(tenant), f"{tenant}'s", scopes=scopes)
    client = service.app.test_client()
    token = token_of(client.get("/login").get_data(as_text=True))
    assert client.post("/login", data={"key": secret, "csrf_token": token}).status_code == 303
    return client


def token_of(page: str) -> str:
    found = re.search(r'name="csrf-token" content="([^"]+)"', page)
    assert found is not None
    return found[1]


def test_an_admin_sees_and_touches_its_own_tenant_alone(service: Service) -> None:
    other, _ = create_key(service.stores.database, service.tenant("other"), "theirs")
    client = signed_in(service, "shop", Scope.ADMIN)
    page = client.get("/admin").get_data(as_text=True)
    assert "shop&#39;s" in page
    assert "theirs" not in page
    assert "Workers and devices" not in page
    token = {"csrf_token": token_of(page)}
    assert client.post(f"/admin/keys/{other.id}/revoke", data=token).status_code == 404
    theirs = service.tenant("other")
    new = {**token, "tenant": theirs, "name": "mine", "scope": "read"}
    assert client.post("/admin/keys", data=new).status_code == 404
    for subject in (theirs, "everything"):
        assert client.post("/admin/pauses", data={**token, "subject": subject, "do": "pause"}).status_code == 404
    (key,) = list_keys(service.stores.database, theirs)
    assert key.revoked_at is None


def test_nothing_is_done_without_the_pages_token(service: Service) -> None:
    client = signed_in(service, "shop", Scope.ADMIN)
    form = {"subject": service.tenant("shop"), "do": "pause"}
    assert client.post("/admin/pauses", data=form).status_code == 403


def test_the_scope_admin_is_needed(service: Service) -> None:
    client = signed_in(service, "shop", Scope.READ, Scope.SUBMIT)
    for path in ("/admin", "/admin/live"):
        assert client.get(path).status_code == 403
