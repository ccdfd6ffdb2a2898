"""The API's description, read for tests that must not forget a route or a field of a request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every operation under /v1."""
    for path, described in document["paths"].items():
        for method, operation in described.items():
            if path.startswith("/v1/"):
                yield method.upper(), path, operation


def fields_of_requests(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of every request's body as ``Schema.field``, with its rules."""
    waiting = [
        content["schema"]["$ref"]
        for _, _, operation in operations(document)
        for content in operation.get("requestBody", {}).get("content", {}).values()
    ]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop().rpartition("/")[2]
        if name in seen:
            continue
        seen.add(name)
        schema = document["components"]["schemas"][name]
        waiting += re.findall(r'"\$ref": "([^"]+)"', json.dumps(schema))
        for field, rules in schema.get("properties", {}).items():
            yield f"{name}.{field}", rules


def texts_in(rules: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rules of each text that a field may be, or hold as an item or a value."""
    if rules.get("type") == "string":
        yield rules
    further = rules.get("additionalProperties"), rules.get("items"), *rules.get("patternProperties", {}).values()
    for inner in (*rules.get("anyOf", []), *rules.get("oneOf", []), *further):
        if isinstance(inner, dict):
            yield from texts_in(inner)


def filled(body: Any, values: dict[str, str]) -> Any:
    """A body in which each text that is a key of ``values`` is its value."""
    if isinstance(body, dict):
        return {name: filled(value, values) for name, value in body.items()}
    if isinstance(body, list):
        return [filled(value, values) for value in body]
    return values.get(body, body) if isinstance(body, str) else body
