"""Authentication: every route under /v1 needs a valid key, and distinguishes a missing key from a wrong one."""

from __future__ import annotations

import re

import pytest

from cleanplate.base.settings import Settings
from storage.ledger.tenants.tenants import create_key, revoke_key
from storage.records import Scope
from tests.unit.api.calling import Caller, MakeService, Service

ROUTES = [
    ("POST", "/v1/uploads"),
    ("POST", "/v1/jobs"),
    ("POST", "/v1/jobs/manifest"),
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/job_1/events"),
    ("GET", "/v1/events"),
    ("GET", "/v1/jobs/job_1"),
    ("POST", "/v1/jobs/job_1/cancel"),
    ("POST", "/v1/jobs/job_1/retry"),
    ("DELETE", "/v1/jobs/job_1"),
    ("GET", "/v1/jobs/job_1/images"),
    ("GET", "/v1/jobs/job_1/results"),
    ("GET", "/v1/jobs/job_1/errors"),
    ("GET", "/v1/jobs/job_1/skipped"),
    ("GET", "/v1/jobs/job_1/archive"),
    ("PATCH", "/v1/jobs/job_1"),
    ("POST", "/v1/jobs/job_1/review"),
    ("POST", "/v1/jobs/job_1/redo"),
    ("GET", "/v1/images"),
    ("GET", "/v1/images/img_1"),
    ("PATCH", "/v1/images/img_1"),
    ("GET", "/v1/images/img_1/result"),
    ("GET", "/v1/images/img_1/preview"),
    ("GET", "/v1/images/img_1/source"),
    ("GET", "/v1/images/img_1/view"),
    ("GET", "/v1/uploads/upl_1/view"),
    ("GET", "/v1/jobs/job_1/overview"),
    ("POST", "/v1/uploads/upl_1/parts"),
    ("POST", "/v1/uploads/upl_1/complete"),
    ("DELETE", "/v1/uploads/upl_1"),
    ("POST", "/v1/jobs/job_1/pause"),
    ("POST", "/v1/jobs/job_1/resume"),
    ("POST", "/v1/jobs/job_1/approve"),
    ("GET", "/v1/templates"),
    ("POST", "/v1/templates"),
    ("GET", "/v1/templates/tpl_1"),
    ("DELETE", "/v1/templates/tpl_1"),
    ("POST", "/v1/templates/tpl_1/approve"),
    ("POST", "/v1/templates/tpl_1/reject"),
    ("GET", "/v1/templates/tpl_1/previews/pre_1"),
    ("GET", "/v1/usage"),
    ("GET", "/v1/usage.csv"),
    ("GET", "/v1/devices"),
    ("GET", "/v1/pause"),
    ("PUT", "/v1/pause"),
    ("DELETE", "/v1/pause"),
    ("POST", "/v1/webhooks"),
    ("GET", "/v1/webhooks"),
    ("DELETE", "/v1/webhooks/whe_1"),
    ("GET", "/v1/webhooks/whe_1"),
    ("PATCH", "/v1/webhooks/whe_1"),
    ("POST", "/v1/webhooks/whe_1/rotate"),
    ("POST", "/v1/webhooks/whe_1/ping"),
    ("POST", "/v1/webhooks/whe_1/recover"),
    ("GET", "/v1/webhooks/whe_1/deliveries"),
    ("GET", "/v1/webhooks/whe_1/deliveries/evt_1"),
    ("POST", "/v1/webhooks/whe_1/deliveries/evt_1/redeliver"),
]


def test_the_list_of_routes_is_complete(service: Service) -> None:
    documented = {
        (method.upper(), path)
        for path, operations in service.document["paths"].items()
        for method in operations
        if path.startswith("/v1/")
    }
    ids = {
        "job_1": "{job_id}",
        "img_1": "{image_id}",
        "whe_1": "{webhook_id}",
        "evt_1": "{delivery_id}",
        "upl_1": "{upload_id}",
        "tpl_1": "{template_id}",
        "pre_1": "{preview_id}",
    }
    named = {(method, re.sub("[a-z]{3}_1", lambda found: ids[found[0]], path)) for method, path in ROUTES}
    assert named == documented


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_key_nothing_is_answered(service: Service, method: str, path: str) -> None:
    answer = service.stranger()(method, path, status=401)
    assert answer.json["code"] == "key_missing"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="cleanplate"'


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_with_a_wrong_key_nothing_is_answered(service: Service, method: str, path: str) -> None:
    answer = service.stranger("cp_" + "x" * 43)(method, path, status=401)
    assert answer.json["code"] == "key_wrong"
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
def test_the_methods_of_an_address_are_public(service: Service, path: str) -> None:
    answer = service.stranger()("OPTIONS", path, status=200)
    taken = {method for method, known in ROUTES if known == path}
    assert taken <= set(answer.headers["Allow"].split(", "))
    assert answer.data == b""


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic Y3A6eA==", "cp_" + "x" * 43])
def test_other_ways_of_authorization_count_as_no_key(service: Service, header: str) -> None:
    service.stranger().problem("GET", "/v1/jobs", 401, "key_missing", headers={"Authorization": header})


@pytest.mark.parametrize("key", ["cp_ü" + "x" * 40, "cp_" + "x" * 4000, "' --"])
def test_a_strange_key_is_a_wrong_key(service: Service, key: str) -> None:
    service.stranger(key).problem("GET", "/v1/jobs", 401, "key_wrong")


def test_a_revoked_key_is_a_wrong_key(service: Service) -> None:
    db = service.stores.database
    key, secret = create_key(db, service.tenant("shop"), "old")
    caller = service.stranger(secret)
    caller.get("/v1/jobs")
    revoke_key(db, key.id)
    caller.problem("GET", "/v1/jobs", 401, "key_wrong")


def test_an_expired_key_is_a_wrong_key(service: Service) -> None:
    _, secret = create_key(service.stores.database, service.tenant("shop"), "old", expires_in_s=0)
    service.stranger(secret).problem("GET", "/v1/jobs", 401, "key_wrong")


#: The scope of each operation; all reading operations need ``read``.
NEEDED = {
    (method, path): Scope.READ
    if method == "GET"
    else Scope.ADMIN
    if "webhooks" in path or path.endswith(("pause", "resume"))
    else Scope.SUBMIT
    for method, path in ROUTES
}


@pytest.mark.parametrize("scope", Scope)
def test_a_key_does_what_its_scope_allows_and_nothing_else(
    make_service: MakeService, embedded_settings: Settings, scope: Scope
) -> None:
    service = make_service(embedded_settings.model_copy(update={"stream_s": 0.1}))
    _, secret = create_key(service.stores.database, service.tenant("shop"), "narrow", scopes=[scope])
    narrow = service.stranger(secret)
    for (method, path), needed in NEEDED.items():
        answer = narrow.any(method, path)
        refused = answer.status_code == 403
        assert refused == (scope is not needed), f"{method} {path}: {answer.status_code}"
        if refused:
            assert answer.json["code"] == "scope_missing"
            assert needed in answer.json["detail"]
            assert f'scope="{needed}"' in answer.headers["WWW-Authenticate"]


def test_a_wrong_key_is_told_before_a_wrong_body(service: Service) -> None:
    service.stranger().problem("POST", "/v1/uploads", 401, "key_missing", data=b"{", content_type="text/plain")


def test_a_foreign_tenants_things_answer_like_unknown_ones(service: Service, shop: Caller) -> None:
    job = shop.submit()
    image = shop.get(job["links"]["images"]).json["data"][0]
    webhook = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json
    other = service.caller("other")
    for method, path in [
        ("GET", f"/v1/jobs/{job['id']}"),
        ("POST", f"/v1/jobs/{job['id']}/cancel"),
        ("GET", f"/v1/jobs/{job['id']}/images"),
        ("GET", f"/v1/jobs/{job['id']}/results"),
        ("GET", f"/v1/jobs/{job['id']}/errors"),
        ("GET", f"/v1/jobs/{job['id']}/archive"),
        ("POST", f"/v1/jobs/{job['id']}/retry"),
        ("DELETE", f"/v1/jobs/{job['id']}"),
        ("GET", f"/v1/images/{image['id']}"),
        ("GET", f"/v1/images/{image['id']}/result"),
        ("DELETE", f"/v1/webhooks/{webhook['id']}"),
    ]:
        foreign = other.problem(method, path, 404, "not_found")
        known = path.split("/")[3]
        absent = known[:-4] + ("0000" if known[-4:] != "0000" else "1111")
        unknown = other.problem(method, path.replace(known, absent), 404, "not_found")
        assert foreign["detail"].replace(known, absent) == unknown["detail"]
        assert foreign["title"] == unknown["title"]
    assert other.get("/v1/jobs").json["data"] == []
    assert other.get("/v1/webhooks").json["data"] == []
    assert shop.get(f"/v1/jobs/{job['id']}").json["state"] == "queued"
