"""The OpenAPI document and the page made of it are whole, and nothing on the page asks anybody else for anything."""

from __future__ import annotations

import re
import shlex
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.problems import CATALOGUE
from api.web.pages import OpenPages, Pages
from tests.unit.api.calling import PUBLIC_URL, Service

MADE_BY_FLASK = {"/openapi.json", "/docs", "/static/<path:filename>"}


class Page(HTMLParser):
    """The attributes of a page's elements, and the text of its examples."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.examples: list[str] = []
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "pre":
            self.examples.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "pre" in self._open:
            self.examples[-1] += data


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
    routes = {rule.rule for rule in service.app.url_map.iter_rules() if not is_page(rule.endpoint)} - MADE_BY_FLASK
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


def test_requests_refuse_what_they_do_not_know(service: Service) -> None:
    for name in ("NewUploads", "NewUpload", "NewJob", "NewImage", "JobOptions", "NewWebhook", "InlineJob"):
        assert service.document["components"]["schemas"][name]["additionalProperties"] is False


def test_the_page_asks_nobody_else_and_runs_nothing(page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in {"script", "iframe", "img", "style", "form"}
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        for name in ("src", "href"):
            address = attributes.get(name)
            assert address is None or address.startswith(("#", "/")), address


def test_the_pages_style_is_there(service: Service, page: Page) -> None:
    (style,) = [attributes["href"] for tag, attributes in page.elements if tag == "link"]
    with service.app.test_client().get(str(style)) as answer:
        assert (answer.status_code, answer.mimetype) == (200, "text/css")
        assert "url(" not in answer.get_data(as_text=True)


def test_links_inside_the_page_lead_somewhere(page: Page) -> None:
    places = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(places) == len(set(places))
    for _, attributes in page.elements:
        address = attributes.get("href") or ""
        assert not address.startswith("#") or address[1:] in places, address
    assert {f"problem-{code}" for code in CATALOGUE} <= set(places)


def test_every_operation_has_an_example_that_a_shell_understands(service: Service, page: Page) -> None:
    bodies = sum(max(1, len(op.get("requestBody", {}).get("content", {}))) for _, _, op in operations(service))
    assert len(page.examples) == bodies
    for example in page.examples:
        words = [word for word in shlex.split(example) if word.strip()]
        assert words[0] == "curl"
        assert any(word.startswith(PUBLIC_URL) for word in words)


def test_the_examples_of_the_page_are_accepted(service: Service, page: Page) -> None:
    for example in page.examples:
        words = shlex.split(example)
        if "-d" not in words:
            continue
        path = next(word for word in words if word.startswith(PUBLIC_URL)).removeprefix(PUBLIC_URL)
        if "$" in path:
            # Its thing exists for its reader only.
            continue
        answer = service.caller().post(
            path,
            422 if path in {"/v1/jobs", "/v1/templates"} else 201,
            data=words[words.index("-d") + 1],
            content_type="application/json",
        )
        # The examples of job and template name uploads that only their reader has.
        assert answer.status_code == 201 or answer.json["code"] == "upload_unknown"
