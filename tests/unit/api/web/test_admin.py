"""Operations: the tenants that each key sees."""

from __future__ import annotations

import re
from dataclasses import replace

from flask.testing import FlaskClient

from cleanplate.base.reports import DeviceReport
from storage.ledger.operations.devices import report_devices
from storage.ledger.operations.flow import note_waiting
from storage.ledger.templates.templates import create_template
from storage.ledger.tenants.tenants import create_key, list_keys
from storage.records import EstimateSpec, NewTemplate, Scope
from tests.unit.api.calling import Service


def signed_in(service: Service, tenant: str, *scopes: Scope) -> FlaskClient:
    """A browser that is signed in with a key of this tenant."""
    _, secret = create_key(service.stores.database, service.tenant(tenant), f"{tenant}'s", scopes=scopes)
    client = service.app.test_client()
    token = token_of(client.get("/login").get_data(as_text=True))
    assert client.post("/login", data={"key": secret, "csrf_token": token}).status_code == 303
    return client


def token_of(page: str) -> str:
    match = re.search(r'name="csrf-token" content="([^"]+)"', page)
    assert match is not None
    return match[1]


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


def test_templates_are_the_tenants_own_also_for_the_operator(service: Service) -> None:
    database = service.stores.database
    new = NewTemplate(name="theirs alone", spec=EstimateSpec())
    create_template(database, service.tenant("other"), new)
    create_template(database, service.tenant("operator"), replace(new, name="our mark"))
    service.stores.settings = service.settings.model_copy(update={"operator_tenants": ("operator",)})
    page = signed_in(service, "operator", Scope.ADMIN).get("/admin").get_data(as_text=True)
    assert "Workers and devices" in page
    assert "our mark" in page
    assert "theirs alone" not in page


def test_devices_of_all_machines_are_for_the_operator_alone(service: Service) -> None:
    report = DeviceReport(
        device="cuda0", host="rack-1", state="working", deaths=0, images=5, images_per_second=2.5,
        resident_bytes=1 << 30, memory_used=1 << 30, memory_total=8 << 30, temperature_c=61, told_at=0.0,
    )  # fmt: skip
    report_devices(service.stores.database, "rack-1-7", [report])
    service.caller("shop").problem("GET", "/v1/devices", 404, "not_found")
    service.stores.settings = service.settings.model_copy(update={"operator_tenants": ("operator",)})
    reader = service.caller("operator", [Scope.READ])
    reader.problem("GET", "/v1/devices", 403, "scope_missing")
    (seen,) = service.caller("operator").get("/v1/devices", 200).json["data"]
    assert (seen["host"], seen["device"], seen["temperature_c"]) == ("rack-1", "cuda0", 61)
    page = signed_in(service, "operator", Scope.ADMIN).get("/admin").get_data(as_text=True)
    assert "rack-1 · cuda0 · 61 °C" in page


def test_the_work_of_the_whole_service_is_charted_for_the_operator_alone(service: Service) -> None:
    note_waiting(service.stores.database, 7)
    assert signed_in(service, "shop", Scope.ADMIN).get("/admin/flow").status_code == 403
    service.stores.settings = service.settings.model_copy(update={"operator_tenants": ("operator",)})
    flows = signed_in(service, "operator", Scope.ADMIN).get("/admin/flow").json
    assert {name: (len(flow["ended"]), len(flow["waiting"]), flow["step_s"]) for name, flow in flows.items()} == {
        "hour": (60, 60, 60.0),
        "day": (96, 96, 900.0),
    }


def test_nothing_is_done_without_the_pages_token(service: Service) -> None:
    client = signed_in(service, "shop", Scope.ADMIN)
    form = {"subject": service.tenant("shop"), "do": "pause"}
    assert client.post("/admin/pauses", data=form).status_code == 403


def test_the_scope_admin_is_needed(service: Service) -> None:
    client = signed_in(service, "shop", Scope.READ, Scope.SUBMIT)
    for path in ("/admin", "/admin/live", "/admin/flow"):
        assert client.get(path).status_code == 403
