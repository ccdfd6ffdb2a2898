"""Completes the OpenAPI document that APIFlask collects from the routes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from apiflask import APIFlask
from pydantic import BaseModel

from api import answers, idempotency, requests
from api.auth import bearer
from api.examples import EXAMPLES, problem
from api.limits import HEADERS
from api.problem_kinds import CATALOGUE
from api.problems import MEDIA_TYPE, responses
from cleanplate.base.documents import JsonObject
from cleanplate.base.options import JobOptions

_REF = "#/components/schemas/"
#: Requests that make something, and take an Idempotency-Key.
MADE_ONCE = (
    "/v1/jobs",
    "/v1/jobs/manifest",
    "/v1/jobs/{job_id}/redo",
    "/v1/jobs/{job_id}/retry",
    "/v1/uploads",
    "/v1/templates",
    "/v1/webhooks",
    "/v1/webhooks/{webhook_id}/rotate",
    "/v1/webhooks/{webhook_id}/ping",
    "/v1/webhooks/{webhook_id}/recover",
    "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
)
_LIMITS = dict(
    zip(
        HEADERS,
        (
            "Requests a minute that the key may make.",
            "Requests that are left in this minute.",
            "The second of the epoch at which the limit is whole again.",
        ),
        strict=True,
    )
)

DESCRIPTION = """\
Cleanplate removes watermarks from whole product catalogues, for the people who own the pictures.

The usual way: `POST /v1/uploads` for links, send each picture and the mask to its link, `POST /v1/jobs` with the ids,
`GET /v1/jobs/{job_id}` until the state is `completed`, `GET /v1/images/{image_id}/result` for each picture.

Every error is an `application/problem+json` body (RFC 9457) with a stable `code`; every answer carries `X-Request-Id`.
"""


def register(app: APIFlask) -> None:
    """Describe ``app``. Call it after its blueprints are registered."""
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


def _made_exact(document: JsonObject) -> JsonObject:
    components = document["components"]["schemas"]
    for model in (
        answers.Problem,
        answers.ResultLine,
        answers.ErrorLine,
        answers.ManifestLine,
        answers.JobEvent,
        answers.DryRun,
        answers.SkippedLine,
        requests.ManifestJob,
        requests.ManifestTerms,
        requests.NewJob,
        requests.InlineJob,
        requests.FileForm,
        JobOptions,
        requests.MaskPlace,
    ):
        _add(components, model)
    components["ManifestJob"]["properties"]["job"] |= {
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": f"{_REF}ManifestTerms"},
    }
    components["InlineJob"]["properties"]["mask_place"] |= {
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": f"{_REF}MaskPlace"},
    }
    _flatten(document)
    document["paths"]["/v1/jobs"]["post"]["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": f"{_REF}NewJob"}},
            "multipart/form-data": {"schema": {"$ref": f"{_REF}InlineJob"}},
        },
    }
    document["paths"]["/v1/jobs/manifest"]["post"]["requestBody"] = {
        "required": True,
        "content": {"multipart/form-data": {"schema": {"$ref": f"{_REF}ManifestJob"}}},
    }
    for path in MADE_ONCE:
        _add_once(document["paths"][path]["post"])
    binary = {"schema": {"type": "string", "format": "binary"}}
    document["paths"]["/blobs/{token}"]["put"]["requestBody"] = {
        "required": True,
        "description": "The file's bytes.",
        "content": {"*/*": binary},
    }
    document["paths"]["/blobs/{token}"]["post"]["requestBody"] = {
        "required": True,
        "description": "The link's fields, and last the file.",
        "content": {"multipart/form-data": {"schema": {"$ref": f"{_REF}FileForm"}}},
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "get" and path.startswith("/v1/") and _answers_json(operation):
                _add_conditions(operation)
            _complete(operation)
            if path.startswith("/v1/"):
                operation["security"] = [{bearer.name: []}]
                _add_common_problems(path, operation)
                _add_limits(operation)
            _add_examples(document, operation)
    for name in _sent_schemas(document):
        _move_defaults(document["components"]["schemas"][name])
    return document


def _sent_schemas(document: JsonObject) -> set[str]:
    """The names of the schemas that request bodies consist of."""
    schemas = document["components"]["schemas"]
    bodies = [
        operation["requestBody"]
        for operations in document["paths"].values()
        for operation in operations.values()
        if "requestBody" in operation
    ]
    names = set(_references(bodies))
    new = names
    while new:
        new = {name for known in new for name in _references(schemas[known])} - names
        names = names | new
    return names


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(_REF)
        for item in node.values():
            yield from _references(item)


def _move_defaults(schema: JsonObject) -> None:
    """Moves the defaults of a request's fields into their descriptions.

    Generators of code take a field with a default for one that is always there, and would require it in requests.
    """
    for field in schema.get("properties", {}).values():
        default = field.pop("default", None)
        if default is not None and default != {} and "description" in field:
            field["description"] = f"{field['description']} Default: `{json.dumps(default)}`."


def _answers_json(operation: JsonObject) -> bool:
    return "application/json" in operation["responses"].get("200", {}).get("content", {})


def _add_once(operation: JsonObject) -> None:
    """Adds the header and the answers of a request that can be repeated with an Idempotency-Key."""
    operation.setdefault("parameters", []).append(
        {
            "name": idempotency.HEADER,
            "in": "header",
            "required": False,
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": 255,
                "description": "Any text of your own that names this request; sent again, it is answered again.",
            },
        }
    )
    replayed = {idempotency.REPLAYED: _header("string", "`true` where an earlier try made it.")}
    for status in operation["responses"].keys() & {"200", "201", "202"}:
        operation["responses"][status]["headers"] = replayed
        if operation["responses"][status]["description"].find("`Location`") >= 0:
            operation["responses"][status]["headers"] = {"Location": _header("string", "Path of the job."), **replayed}
    for code in ("idempotency_key_busy", "idempotency_key_invalid", "idempotency_key_reused"):
        _add_problem(operation, code)


def _add_common_problems(path: str, operation: JsonObject) -> None:
    """Adds the errors that follow from an operation's parameters and body. Routes list only their own."""
    body = operation.get("requestBody", {}).get("content", {})
    codes = ["key_missing", "key_wrong", "scope_missing", "rate_limited", "ledger_unavailable", "service_busy"]
    codes.append("storage_full")
    if "{" in path:
        codes.append("not_found")
    if body:
        codes += ["request_too_large", "media_type_unsupported", "validation_failed"]
    if "application/json" in body:
        codes.append("json_invalid")
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", [])):
        codes.append("validation_failed")
    for code in codes:
        _add_problem(operation, code)


def _add_problem(operation: JsonObject, code: str) -> None:
    """Adds an error to an operation's answers, beside those of the same status."""
    status = CATALOGUE[code].status
    described = responses(code)[status]
    known = operation["responses"].setdefault(str(status), described)
    if f"`{code}`" not in known["description"]:
        known["description"] += f"; {described['description']}"


def _add_limits(operation: JsonObject) -> None:
    """Adds the headers of the rate limit, and ``Retry-After`` where an answer carries it."""
    for status, answer in operation["responses"].items():
        if status in {"429", "503"} or "`idempotency_key_busy`" in answer["description"]:
            answer["headers"] = {"Retry-After": _header("integer", "Seconds after which to go on.")}
        if status[0] in "23":
            answer.setdefault("headers", {}).update({name: _header("integer", what) for name, what in _LIMITS.items()})
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _add_conditions(operation: JsonObject) -> None:
    """Adds the headers and the answer of a conditional GET."""
    operation["responses"]["200"]["headers"] = {"ETag": _header("string", "Names this state of it.")}
    operation["responses"]["304"] = {"description": "It is as the `ETag` in `If-None-Match` names it; no body."}
    operation.setdefault("parameters", []).append(
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "description": "The `ETag` of an earlier answer."},
        }
    )


def _add_examples(document: JsonObject, operation: JsonObject) -> None:
    """Adds an example to each request body and each answer."""
    schemas = document["components"]["schemas"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        name = content["schema"].get("$ref", "").removeprefix(_REF)
        if "example" in schemas.get(name, {}):
            content["example"] = schemas[name]["example"]
    for status, answer in operation["responses"].items():
        for media_type, content in answer.get("content", {}).items():
            name = content["schema"].get("$ref", "").removeprefix(_REF)
            if media_type == MEDIA_TYPE:
                url = document["servers"][0]["url"]
                content["examples"] = {
                    code: {
                        "summary": CATALOGUE[code].title,
                        "value": problem(code, int(status), CATALOGUE[code].title, url),
                    }
                    for code in re.findall(r"`(\w+)`: ", answer["description"])
                }
            elif name in EXAMPLES:
                content["example"] = EXAMPLES[name]


def _header(kind: str, description: str) -> JsonObject:
    return {"description": description, "schema": {"type": kind}}


def _add(components: JsonObject, model: type[BaseModel]) -> None:
    schema = model.model_json_schema(ref_template=_REF + "{model}")
    components.update(schema.pop("$defs", {}))
    components[model.__name__] = schema


def _flatten(document: JsonObject) -> None:
    """Renames nested models: ``Job.Counts`` becomes ``Counts``."""
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


def _complete(operation: JsonObject) -> None:
    """Completes every operation: parameters required and described, bodies required, 500 possible."""
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
        "description": f"`internal_error`: {CATALOGUE['internal_error'].title}",
        "content": {"application/problem+json": {"schema": {"$ref": f"{_REF}Problem"}}},
    }
    operation["responses"] = dict(sorted(operation["responses"].items()))
