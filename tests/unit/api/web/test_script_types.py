"""The types of answers that the page's scripts are checked with (net/answers.js) agree with the API's description."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.running import REPOSITORY
from tests.unit.api.calling import Service

SOURCE = (REPOSITORY / "api" / "static" / "web" / "net" / "answers.js").read_text()
TYPES = {name: body for body, name in re.findall(r"@typedef \{\{\n(.*?)\n \* \}\} (\w+)", SOURCE, re.DOTALL)}
WORDS = {name: set(re.findall(r'"(\w+)"', union)) for union, name in re.findall(r"@typedef \{([^{}]+)\} (\w+)", SOURCE)}


def fields(name: str) -> dict[str, str]:
    """The type of each field of an answer that the scripts read."""
    return dict(re.findall(r"^ \*   (\w+)\??: (.*),$", TYPES[name], re.MULTILINE))


def is_nullable(schema: dict[str, Any]) -> bool:
    return any(one.get("type") == "null" for one in schema.get("anyOf", [schema]))


def words_of(service: Service, schema: dict[str, Any]) -> set[str]:
    """The values that a field of an enumeration can have."""
    reference = schema.get("$ref") or next((one["$ref"] for one in schema.get("allOf", []) if "$ref" in one), None)
    if reference is not None:
        schema = service.document["components"]["schemas"][reference.rpartition("/")[2]]
    return set(schema.get("enum", ()))


def test_the_scripts_know_the_answers_of_every_page() -> None:
    assert {"Job", "Image", "ImageRecord", "Template", "Upload", "Delivery", "Overview"} <= set(TYPES)
    assert {"JobState", "ImageState", "TemplateState", "DeliveryState"} <= set(WORDS)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_a_type_has_fields_of_its_answer_and_null_where_it_may_be_null(service: Service, name: str) -> None:
    properties = service.document["components"]["schemas"][name]["properties"]
    read = fields(name)
    assert read
    assert set(read) <= set(properties)
    wrong = {field: kind for field, kind in read.items() if ("| null" in kind) != is_nullable(properties[field])}
    assert wrong == {}


@pytest.mark.parametrize("name", sorted(TYPES))
def test_states_have_the_words_of_the_description(service: Service, name: str) -> None:
    properties = service.document["components"]["schemas"][name]["properties"]
    for field, kind in fields(name).items():
        if kind in WORDS:
            assert words_of(service, properties[field]) == WORDS[kind], field
