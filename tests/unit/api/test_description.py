"""The OpenAPI document and its page are complete, and the page sends no request to another host."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.problem_kinds import CATALOGUE, type_of
from api.web.pages import OpenPages, Pages
from tests.unit.api.calling import PUBLIC_URL, Service

NOT_DESCRIBED = {"/openapi.json", "/docs", "/problems/<id:code>", "/static/<path:filename>"}


class Page(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.fixture
def page(service: Service) -> Page:
    answer = service.app.test_client().get("/docs")
    assert answer.status_code == 200
    return Page(answer.get_data(as_text=True))


def operations(service: Service) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in service.document["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_document_is_valid_openapi(service: Service) -> None:
    assert service.document["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(service.document).iter_errors()) == []


def test_every_route_is_described(service: Service) -> None:

    def is_page(endpoint: str) -> bool:
        return isinstance(service.app.blueprints.get(endpoint.partition(".")[0]), Pages | OpenPages)

    described = {path for path, _, _ in operations(service)}
    routes = {rule.rule for rule in service.app.url_map.iter_rules() if not is_page(rule.endpoint)} - NOT_DESCRIBED
    assert {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule) for rule in routes} == described


def test_every_operation_says_what_it_does_takes_and_answers(service: Service) -> None:
    for path, method, operation in operations(service):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["tags"], where
        assert any(status.startswith(("2", "3")) for status in operation["responses"]), where
        assert "500" in operation["responses"], where
        assert all(answer["description"] for answer in operation["responses"].values()), where
        assert all(parameter["description"] for parameter in operation["parameters"]), where
        assert ("security" in operation) == path.startswith("/v1/"), where
        if method in {"post", "put"} and not path.endswith(
            (
                "/cancel",
                "/retry",
                "/pause",
                "/resume",
                "/rotate",
                "/ping",
                "/redeliver",
                "/reject",
                "{template_id}/approve",
            )
        ):
            assert operation["requestBody"]["required"], where
    assert service.document["components"]["securitySchemes"]["BearerAuth"]["scheme"] == "bearer"


def test_every_body_has_an_example_that_fits_its_schema(service: Service) -> None:
    for path, method, operation in operations(service):
        bodies = list(operation.get("requestBody", {}).get("content", {}).items())
        for status, answer in operation["responses"].items():
            bodies += answer.get("content", {}).items()
            assert status != "429" or "Retry-After" in answer["headers"]
        for media_type, content in bodies:
            if content["schema"].get("format") == "binary":
                continue
            examples = [example["value"] for example in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            assert examples, f"{method} {path} {media_type}"
            whole = {**content["schema"], "components": service.document["components"]}
            for example in examples:
                validator = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
                assert list(validator.iter_errors(example)) == [], f"{method} {path} {media_type}"


def test_every_schema_is_described_and_used(service: Service) -> None:
    text = str(service.document)
    for name, schema in service.document["components"]["schemas"].items():
        assert f"#/components/schemas/{name}'" in text, name
        assert schema.get("description") or schema.get("enum"), name


def test_objects_have_named_fields_unless_their_json_is_free(service: Service) -> None:
    untyped = {
        f"{name}.{field}"
        for name, schema in service.document["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        for kind in described.get("anyOf", [described])
        if kind.get("type") == "object" and kind.get("additionalProperties") is True
    }
    # The body that was posted to a receiver, by the type of its event.
    assert untyped == {"Delivery.payload"}


def test_requests_refuse_what_they_do_not_know(service: Service) -> None:
    for name in ("NewUploads", "NewUpload", "NewJob", "NewImage", "JobOptions", "NewWebhook", "InlineJob"):
        assert service.document["components"]["schemas"][name]["additionalProperties"] is False


def test_the_page_has_nothing_inline_and_loads_nothing_of_others(service: Service, page: Page) -> None:
    loaded = []
    for tag, attributes in page.elements:
        assert tag not in {"iframe", "style", "form"}
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert tag != "script" or attributes["src"]
        loaded += [str(attributes[name]) for name in ("src", "href") if attributes.get(name)]
    assert all(address.startswith("/") for address in loaded)
    for address in loaded:
        with service.app.test_client().get(address) as answer:
            assert answer.status_code == 200, address


def test_the_type_of_every_problem_is_the_address_of_its_page(service: Service, page: Page) -> None:
    places = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(places) == len(set(places))
    assert {f"problem-{code}" for code in CATALOGUE} <= set(places)
    listed = {attributes.get("href") for _, attributes in page.elements}
    client = service.app.test_client()
    for code, kind in CATALOGUE.items():
        address = type_of(code, PUBLIC_URL).removeprefix(PUBLIC_URL)
        assert address in listed
        answer = client.get(address)
        assert (answer.status_code, answer.mimetype) == (200, "text/html"), code
        text = unescape(answer.get_data(as_text=True).replace("<code>", "`").replace("</code>", "`"))
        assert all(part in text for part in (f"`{code}`", str(kind.status), kind.title, kind.meaning, kind.advice)), (
            code
        )
        assert all(sentence.endswith(".") for sentence in (kind.meaning, kind.advice)), code
    assert client.get("/problems/no_such").get_json()["code"] == "not_found"


def test_every_documented_problem_names_its_page(service: Service) -> None:
    examples = [
        (code, example["value"]["type"])
        for _, _, operation in operations(service)
        for answer in operation["responses"].values()
        for code, example in answer.get("content", {}).get("application/problem+json", {}).get("examples", {}).items()
    ]
    assert len(examples) > 300
    assert all(address == type_of(code, PUBLIC_URL) for code, address in examples)
