"""What holds for every route, enumerated from the API's own description: a new route cannot be forgotten."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cleanplate.base.settings import Settings
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from storage.records import Scope
from tests.unit.api.calling import Caller, MakeService, Service
from tests.unit.api.descriptions import operations

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
#: Streams that a test would have to end: their methods are asked with an id that does not exist.
_ENDLESS = {"/v1/events"}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory, _sqlite_template: Any) -> Settings:
    home = tmp_path_factory.mktemp("home")
    (home / "ledger.sqlite3").write_bytes(_sqlite_template.read_bytes())
    return Settings(home=home, rate_limit_per_minute=0)


@pytest.fixture
def service(make_service: MakeService, embedded: Settings) -> Service:
    return make_service(embedded)


def request_of(operation: dict[str, Any]) -> dict[str, Any]:
    """The body that the description shows."""
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        return {"json": content["application/json"].get("example", {})}
    return {"data": {}, "headers": {"Content-Type": "multipart/form-data; boundary=x"}} if content else {}


def caller_with(service: Service, *scopes: Scope) -> Caller:
    db = service.stores.database
    return service.stranger(create_key(db, ensure_tenant(db, "shop"), "test", scopes=scopes)[1])


@pytest.mark.parametrize("held", [(), (Scope.READ,), (Scope.SUBMIT,), (Scope.SUBMIT, Scope.READ)])
def test_no_route_is_open_to_a_key_without_its_scope(service: Service, held: tuple[Scope, ...]) -> None:
    caller = caller_with(service, *held)
    refused = 0
    for method, path, operation in operations(service.document):
        if path in _ENDLESS and Scope.READ in held:
            continue
        answer = caller.any(method, re.sub(r"\{\w+\}", "none_1", path), **request_of(operation))
        is_refused = answer.status_code == 403 and answer.json["code"] == "scope_missing"
        if method in {"GET", "HEAD"}:
            assert is_refused == (Scope.READ not in held), (method, path, answer.status_code)
        elif not is_refused:
            assert Scope.SUBMIT in held, (method, path, answer.status_code)
        refused += is_refused
    assert refused


def test_every_method_of_every_route_has_a_defined_answer(service: Service) -> None:
    owner, client = service.caller(), service.app.test_client()
    for rule in service.app.url_map.iter_rules():
        if rule.rule in _ENDLESS:
            continue
        path = re.sub(r"<[^>]*>", "none_1", rule.rule)
        for method in METHODS:
            answer = client.open(path, method=method, headers=owner.headers)
            assert answer.status_code < 500, (method, path, answer.get_data(as_text=True))
            if answer.status_code == 405:
                assert method not in answer.headers["Allow"].split(", "), (method, path)
            answer.close()
