"""The OpenAPI document arranged for reading: what the documentation page shows, section by section."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_NAME = "#/components/schemas/"


@dataclass(frozen=True)
class Field:
    """A property of a schema or a parameter of an operation."""

    name: str
    #: In words: ``string``, ``list of Image``, ``integer 1 to 1000 or null``.
    type: str
    #: The schema to link to, if the type is made of one.
    schema: str | None
    required: bool
    description: str


@dataclass(frozen=True)
class Body:
    """One way of sending an operation's body, with a request as one types it."""

    media_type: str
    schema: str | None
    curl: str


@dataclass(frozen=True)
class Outcome:
    """An answer of an operation."""

    status: str
    description: str
    schema: str | None


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    needs_key: bool
    parameters: list[Field]
    bodies: list[Body]
    outcomes: list[Outcome]


@dataclass(frozen=True)
class Section:
    """The operations of a tag."""

    name: str
    description: str
    operations: list[Operation]


def sections(document: dict[str, Any]) -> list[Section]:
    """All operations of an OpenAPI document, by tag, in the order of its tags."""
    found = []
    for tag in document["tags"]:
        operations = [
            _operation(document, path, method, node)
            for path, methods in document["paths"].items()
            for method, node in methods.items()
            if tag["name"] in node["tags"]
        ]
        found.append(Section(tag["name"], tag["description"], operations))
    return found


def schema_fields(schema: dict[str, Any]) -> list[Field]:
    """The properties of an object's schema."""
    required = set(schema.get("required", []))
    return [
        Field(name, _type(node), _reference(node), name in required, node.get("description", ""))
        for name, node in schema.get("properties", {}).items()
    ]


def _operation(document: dict[str, Any], path: str, method: str, node: dict[str, Any]) -> Operation:
    needs_key = bool(node.get("security"))
    contents = node.get("requestBody", {}).get("content") or {"": {}}
    return Operation(
        id=node["operationId"],
        method=method.upper(),
        path=path,
        summary=node["summary"],
        description=node.get("description", ""),
        needs_key=needs_key,
        parameters=[
            Field(
                parameter["name"],
                _type(parameter["schema"]),
                None,
                parameter.get("required", False),
                parameter.get("description", ""),
            )
            for parameter in node.get("parameters", [])
        ],
        bodies=[
            Body(
                media_type,
                _reference(content.get("schema", {})),
                _curl(document, path, method, media_type, content),
            )
            for media_type, content in contents.items()
        ],
        outcomes=[
            Outcome(status, answer["description"], next(_schemas_of(answer), None))
            for status, answer in node["responses"].items()
        ],
    )


def _schemas_of(answer: dict[str, Any]) -> Iterator[str]:
    for content in answer.get("content", {}).values():
        name = _reference(content.get("schema", {}))
        if name is not None:
            yield name


def _curl(document: dict[str, Any], path: str, method: str, media_type: str, content: dict[str, Any]) -> str:
    address = re.sub(r"\{(\w+?)(?:_id)?\}", lambda found: "$" + found[1].upper(), path)
    url = document["servers"][0]["url"] + address
    words = ["curl"]
    if method != "get":
        words.append(f"-X {method.upper()}")
    words.append(f'"{url}"' if "$" in url else url)
    lines = [" ".join(words)]
    if document["paths"][path][method].get("security"):
        lines.append('-H "Authorization: Bearer $CLEANPLATE_API_KEY"')
    if media_type == "application/json":
        lines += [
            "-H 'Content-Type: application/json'",
            f"-d {shlex.quote(json.dumps(_example(document, content['schema'])))}",
        ]
    elif path == "/v1/jobs/manifest":
        job = document["components"]["schemas"]["ManifestTerms"]["example"]
        lines += ["-F manifest=@catalogue.csv", f"-F {shlex.quote(f'job={json.dumps(job)}')}"]
    elif path == "/blobs/{token}" and media_type == "multipart/form-data":
        lines += ["-F key=$KEY", "-F Content-Type=image/jpeg", "-F file=@shirt-01.jpg"]
    elif media_type == "multipart/form-data":
        lines += [
            "-F images=@shirt-01.jpg",
            "-F images=@shirt-02.jpg",
            "-F mask=@mask.png",
            "-F 'options={\"dilation_px\": 4}'",
            "-F rights_basis=owner",
            "-F 'attested_by=Jo Doe, Doe Shirts Ltd'",
            "-F 'rights_reference=own photographs, spring catalogue'",
        ]
    elif media_type:
        lines += ["-H 'Content-Type: image/jpeg'", "--data-binary @shirt-01.jpg"]
    return " \\\n  ".join(lines)


def _example(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """The schema's own example, or one made of its required properties' examples."""
    name = _reference(schema)
    if name is not None:
        schema = document["components"]["schemas"][name]
    if "example" in schema:
        return schema["example"]
    return {key: schema["properties"][key]["examples"][0] for key in schema.get("required", [])}


def _reference(node: dict[str, Any]) -> str | None:
    """The schema that a node is made of: itself, its items, or the alternative to null."""
    if "$ref" in node:
        return str(node["$ref"]).removeprefix(_NAME)
    if "items" in node:
        return _reference(node["items"])
    for part in node.get("anyOf", []):
        name = _reference(part)
        if name is not None:
            return name
    return None


def _type(node: dict[str, Any]) -> str:
    if "$ref" in node:
        return str(node["$ref"]).removeprefix(_NAME)
    if "anyOf" in node:
        return " or ".join(_type(part) for part in node["anyOf"])
    if "prefixItems" in node:
        return f"list of {len(node['prefixItems'])} {_type(node['prefixItems'][0])}"
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}"
    name = str(node.get("format") or node.get("type", "anything"))
    if "minimum" in node and "maximum" in node:
        name += f" {node['minimum']} to {node['maximum']}"
    return name
