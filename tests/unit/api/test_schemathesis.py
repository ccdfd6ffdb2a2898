"""Generated requests against the whole description: no answer is a 5xx, and none is outside its schema.

The short form runs with all tests; the long one by name (``make test-slow``, or ``-m slow``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cleanplate.base.settings import MIB, Settings
from storage.ledger.webhooks.relay import relay_events
from storage.migrate import migrate
from tests.unit.api.calling import Service, description_of_all
from tests.unit.api.test_templates import estimated, made_by_a_worker

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
SHORT = settings(max_examples=4, phases=[Phase.generate], suppress_health_check=SUPPRESSED)
LONG = settings(max_examples=150, suppress_health_check=SUPPRESSED)
OPERATIONS = [(path, method) for path, methods in description_of_all()["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service; ``caller`` fills it."""
    home = tmp_path_factory.mktemp("schemathesis") / "home"
    configured = Settings(home=home, rate_limit_per_minute=0, stream_s=0.1, public_url="http://cleanplate.test:8787")
    migrate(configured.sqlalchemy_url)
    service = Service(configured)
    yield service
    service.stores.close()


@pytest.fixture
def caller(described: Service) -> tuple[dict[str, str], dict[str, str]]:
    """Headers with a key, and existing ids by the names of their path parameters."""
    shop = described.caller("shop")
    shop.any("DELETE", "/v1/pause")  # an earlier test's: nothing would be leased
    job = shop.submit(2)
    described.succeed(job["id"])
    image = shop.get(job["links"]["images"]).json["data"][0]
    webhook = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json
    shop.post(f"/v1/webhooks/{webhook['id']}/ping", 202)
    relay_events(described.stores.database)
    (delivery,) = shop.get(f"/v1/webhooks/{webhook['id']}/deliveries").json["data"]
    template = estimated(shop)
    made_by_a_worker(described, template["id"])
    large = {"filename": "a.tif", "content_type": "image/tiff", "size": 10 * MIB, "method": "multipart"}
    (upload,) = shop.post("/v1/uploads", 201, json={"files": [large]}).json["uploads"]
    return shop.headers, {
        "job_id": job["id"],
        "image_id": image["id"],
        "webhook_id": webhook["id"],
        "delivery_id": delivery["id"],
        "template_id": template["id"],
        "preview_id": "mask",
        "upload_id": upload["id"],
    }


def test_every_path_parameter_has_something_that_is_there(caller: tuple[dict[str, str], dict[str, str]]) -> None:
    named = {name for path, _ in OPERATIONS for name in re.findall(r"{(\w+)}", path)}
    assert named - set(caller[1]) == {"token"}  # a link's signature, which no generator finds


@pytest.fixture(scope="module")
def description(described: Service) -> Any:
    return schemathesis.openapi.from_wsgi("/openapi.json", described.app)


def send(
    description: Any, operation: tuple[str, str], caller: tuple[dict[str, str], dict[str, str]], how: settings
) -> None:
    path, method = operation
    headers, real = caller

    @how
    @given(case=description[path][method].as_strategy(), known=st.booleans())
    def answered_as_described(case: schemathesis.Case, known: bool) -> None:
        if known:
            case.path_parameters.update({name: real[name] for name in case.path_parameters if name in real})
        case.call_and_validate(headers=headers, checks=CHECKS)

    answered_as_described()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: " ".join(operation[::-1]))
def test_a_few_requests_are_answered_as_described(
    description: Any, caller: tuple[dict[str, str], dict[str, str]], operation: tuple[str, str]
) -> None:
    send(description, operation, caller, SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: " ".join(operation[::-1]))
def test_many_requests_are_answered_as_described(
    description: Any, caller: tuple[dict[str, str], dict[str, str]], operation: tuple[str, str]
) -> None:
    send(description, operation, caller, LONG)
