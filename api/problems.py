"""Translates every exception to an RFC 9457 body; nothing else does.

``api.problem_kinds`` has every code that a client can meet. Routes raise ``Problem``; errors of storage, model, Flask
and validation are translated here; anything else is ``internal_error`` and is logged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus

import structlog
from apiflask import APIFlask, HTTPError
from flask import Response, current_app, g, request
from pydantic import ValidationError
from uuid6 import uuid7
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from api.answers import Fault
from api.fault_kinds import kind_of
from api.problem_kinds import CATALOGUE, type_of
from cleanplate.base.documents import JsonObject
from cleanplate.base.masks import UNION_TAGS
from cleanplate.telemetry.logs import redact_text
from model.errors import ModelError
from storage.errors import BlobNotFound, IdempotencyKeyBusy, QuotaExceeded, StorageError, StorageFull

MEDIA_TYPE = "application/problem+json"
#: Faults listed in one answer; of a job with 100,000 bad lines it lists the first.
MAX_FAULTS = 100

#: The type that APIFlask takes for the answers of a route.
Responses = dict[int | str, dict[str, str | dict[str, JsonObject]]]

_log = structlog.get_logger(__name__)

_BY_STATUS = {
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "media_type_unsupported",
    429: "rate_limited",
}
_DETAIL_BY_STATUS = {
    404: "Nothing is at this address. /docs lists the addresses.",
    405: "This address does not accept this method; the header Allow lists the methods that it accepts.",
    429: "This API key has used up its requests for now. The header Retry-After says when to go on.",
    415: "This address does not accept the media type in the header Content-Type.",
}


class Problem(Exception):
    """An answer that is an error. ``detail`` says what happened and what to do about it."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.kind = CATALOGUE[code]
        self.detail = detail
        self.faults = list(faults[:MAX_FAULTS])
        self.headers = headers or {}


def pointer(*path: str | int) -> str:
    """A JSON pointer (RFC 6901) as a URI fragment: ``#/images/0/name``."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def validation_problem(error: ValidationError, location: str = "json", prefix: tuple[str | int, ...] = ()) -> Problem:
    """The problem of a pydantic error, each fault with its place. ``location`` is ``json`` or ``query``."""
    details = error.errors(include_url=False, include_input=False)
    faults = []
    for item in details[:MAX_FAULTS]:
        path = (*prefix, *(part for part in item["loc"] if part not in UNION_TAGS))
        detail = sentence(item["type"], item["msg"])
        code, params = kind_of(item)
        if location == "query":
            place = str(path[0]) if path else None
            faults.append(Fault(parameter=place, code=code, params=params, detail=detail))
        else:
            faults.append(Fault(pointer=pointer(*path), code=code, params=params, detail=detail))
    more = "" if len(details) == 1 else f" {len(details)} faults in all."
    first = faults[0]
    return Problem("validation_failed", f"{first.pointer or first.parameter}: {first.detail}{more}", faults=faults)


def sentence(kind: str, message: str) -> str:
    """The sentence for one of pydantic's errors."""
    if kind == "extra_forbidden":
        return "This field does not belong here; remove it or correct its name."
    if kind == "missing":
        return "This field is required."
    message = message.removeprefix("Value error, ")
    return message if message.endswith(".") else f"{message}."


def responses(*codes: str, also: Responses | None = None) -> Responses:
    """The error answers of a route for its OpenAPI description; ``also`` adds answers that APIFlask cannot derive."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CATALOGUE[code].status, []).append(code)
    problems: Responses = {
        status: {
            "description": "; ".join(f"`{code}`: {CATALOGUE[code].title}" for code in names),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, names in sorted(by_status.items())
    }
    return {**(also or {}), **problems}


def raw_problem(code: str, detail: str, *, public_url: str, path: str) -> tuple[str, str, bytes]:
    """Status line, media type and body of a problem that the server answers without the application."""
    kind = CATALOGUE[code]
    body = _body(code, detail, public_url) | {"instance": redact_text(path), "request_id": f"req_{uuid7().hex}"}
    return f"{kind.status} {HTTPStatus(kind.status).phrase}", MEDIA_TYPE, json.dumps(body).encode()


def _body(code: str, detail: str, public_url: str) -> JsonObject:
    kind = CATALOGUE[code]
    return {
        "type": type_of(code, public_url),
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "code": code,
    }


def register(app: APIFlask, *, page_for: Callable[[Problem], Response | None]) -> None:
    """Answer every error of ``app`` with a problem, or with its page where ``page_for`` has one."""
    app.extensions["problem_page"] = page_for
    kinds: Iterable[type[Exception]] = (Exception, HTTPException, HTTPError)
    for kind in kinds:
        app.register_error_handler(kind, _answer)


def _answer(error: Exception) -> Response:
    problem = _translate(error)
    body = _body(problem.code, problem.detail, str(current_app.config["PUBLIC_URL"]))
    body |= {"instance": redact_text(request.path), "request_id": g.request_id}
    if problem.faults:
        body["errors"] = [fault.model_dump(exclude_none=True) for fault in problem.faults]
    g.problem_code = problem.code
    answer: Response | None = current_app.extensions["problem_page"](problem)
    if answer is None:
        answer = Response(json.dumps(body), status=problem.kind.status, mimetype=MEDIA_TYPE)
    answer.headers.update(problem.headers)
    if problem.kind.status == HTTPStatus.SERVICE_UNAVAILABLE:
        answer.headers.setdefault("Retry-After", "5")
    return answer


def _translate(error: Exception) -> Problem:
    translated: Problem | None = None
    if isinstance(error, Problem):
        translated = error
    elif isinstance(error, StorageError | ModelError):
        translated = _from_our_own(error)
    elif isinstance(error, HTTPError):
        translated = _from_validation(error)
    elif isinstance(error, HTTPException) and error.code is not None and error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
        translated = _from_http(error)
    if translated is None:
        _log.error("request.broke", exc_info=error)
        translated = Problem(
            "internal_error",
            f"The service failed, not the request. Its log has the reason under {g.request_id}.",
        )
    return translated


def _from_our_own(error: StorageError | ModelError) -> Problem | None:
    """The problem of an error of this project; ``None`` for a code that is not in the catalogue."""
    if error.code not in CATALOGUE:
        return None
    if isinstance(error, BlobNotFound):
        # The error's own sentence names the key, which is internal.
        return Problem("blob_not_found", "The file is no longer stored, or was never sent.")
    if isinstance(error, QuotaExceeded) and error.retry_after_s is not None:
        return Problem(error.code, str(error), headers={"Retry-After": str(round(error.retry_after_s))})
    if isinstance(error, IdempotencyKeyBusy):
        return Problem(error.code, str(error), headers={"Retry-After": "1"})
    if CATALOGUE[error.code].status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # The reason may name hosts and folders: it is for the log.
        _log.warning("request.unavailable", code=error.code, error=str(error))
        full = "The disk of the service is full. Its operator has to make room first."
        return Problem(
            error.code, full if isinstance(error, StorageFull) else "The request is not at fault. Repeat it shortly."
        )
    return Problem(error.code, str(error))


def _from_validation(error: HTTPError) -> Problem:
    """The problem of an input that APIFlask refused; the pydantic error behind it names the places."""
    if isinstance(error.__cause__, ValidationError):
        location = next(iter(error.detail), "json") if isinstance(error.detail, dict) else "json"
        return validation_problem(error.__cause__, location)
    return Problem(_BY_STATUS.get(error.status_code, "request_invalid"), str(error.message))


def _from_http(error: HTTPException) -> Problem:
    status = error.code or HTTPStatus.BAD_REQUEST
    headers = {name: value for name, value in error.get_headers() if name.lower() == "allow"}
    if isinstance(error, RequestEntityTooLarge):
        detail = (
            f"The body may have {request.max_content_length} bytes and {request.max_form_parts} parts at most. "
            "Send pictures by POST /v1/uploads instead."
        )
    else:
        detail = _DETAIL_BY_STATUS.get(status, error.description or "The request cannot be understood.")
    return Problem(_BY_STATUS.get(status, "request_invalid"), detail, headers=headers)
