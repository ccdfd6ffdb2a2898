"""The OpenAPI document: what APIFlask collects from the routes, made exact where it cannot know better."""

from __future__ import annotations

from typing import Any, cast

from apiflask import APIFlask
from flask import current_app
from pydantic import BaseModel

from api import answers, requests
from api.auth import bearer
from storage.options import JobOptions

_REF = "#/components/schemas/"

DESCRIPTION = """\
Cleanplate removes watermarks from whole product catalogues, for the people who own the pictures.

The usual way: `POST /v1/uploads` for links, send each picture and the mask to its link, `POST /v1/jobs` with the ids,
`GET /v1/jobs/{job_id}` until the state is `completed`, `GET /v1/images/{image_id}/result` for each picture.

Every error is an `application/problem+json` body (RFC 9457) with a stable `code`; every answer carries `X-Request-Id`.
"""


def register(app: APIFlask) -> None:
    """Describe ``app``: everything is known once its blueprints are registered."""
    app.description = DESCRIPTION
    app.license = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    app.servers = [{"url": app.config["PUBLIC_URL"]}]
    app.config.update(
        OPENAPI_VERSION="3.1.0",
        AUTO_404_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_200_RESPONSE=False,
        AUTO_OPERATION_ID=True,
    )
    app.spec_processor(_made_exact)  # type: ignore[arg-type]


def current_document() -> dict[str, Any]:
    """The document of the current application, made once; do not change it."""
    if "openapi" not in current_app.extensions:
        current_app.extensions["openapi"] = cast(APIFlask, current_app).spec
    document: dict[str, Any] = current_app.extensions["openapi"]
    return document


def _made_exact(document: dict[str, Any]) -> dict[str, Any]:
    components = document["components"]["schemas"]
    for model in (answers.Problem, requests.NewJob, requests.InlineJob, JobOptions):
        _add(components, model)
    _flatten(document)
    document["paths"]["/v1/jobs"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": f"{_REF}NewJob"}},
            "multipart/form-data": {"schema": {"$ref": f"{_REF}InlineJob"}},
        },
    }
    binary = {"schema": {"type": "string", "format": "binary"}}
    document["paths"]["/blobs/{token}"]["put"]["requestBody"] = {
        "required": True,
        "description": "The file's bytes.",
        "content": {"*/*": binary},
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(operation)
            if path.startswith("/v1/"):
                operation["security"] = [{bearer.name: []}]
    return document


def _add(components: dict[str, Any], model: type[BaseModel]) -> None:
    schema = model.model_json_schema(ref_template=_REF + "{model}")
    components.update(schema.pop("$defs", {}))
    components[model.__name__] = schema


def _flatten(document: dict[str, Any]) -> None:
    """``Job.Counts`` is ``Counts``: nested models are known by their own names, once."""
    components = document["components"]["schemas"]
    for name in [name for name in components if "." in name]:
        components.setdefault(name.rpartition(".")[2], components[name])
        del components[name]
    document["components"]["schemas"] = dict(sorted(components.items()))
    _rename_references(document)


def _rename_references(node: Any) -> None:
    if isinstance(node, list):
        for item in node:
            _rename_references(item)
    elif isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith(_REF):
            node["$ref"] = _REF + reference.removeprefix(_REF).rpartition(".")[2]
        for item in node.values():
            _rename_references(item)


def _complete(operation: dict[str, Any]) -> None:
    """What holds for every operation: parameters are required and described, bodies required, 500 possible."""
    for parameter in operation.get("parameters", []):
        schema = parameter["schema"]
        if parameter["in"] == "path":
            parameter["required"] = True
            parameter["description"] = (
                "The signed token." if parameter["name"] == "token" else f"Id of the {parameter['name'][:-3]}."
            )
        elif "description" in schema:
            parameter["description"] = schema.pop("description")
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
    operation["responses"]["500"] = {
        "description": "`internal_error`: Something broke on our side",
        "content": {"application/problem+json": {"schema": {"$ref": f"{_REF}Problem"}}},
    }
    operation["responses"] = dict(sorted(operation["responses"].items()))
