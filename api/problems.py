"""Translates every exception to an RFC 9457 body; nothing else does.

``CATALOGUE`` holds every code that a client can meet, with its status and title. Routes raise ``Problem``; errors of
storage, model, Flask and validation are translated here; anything else is ``internal_error`` and is logged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

import structlog
from apiflask import APIFlask, HTTPError
from flask import Response, current_app, g, request
from pydantic import ValidationError
from uuid6 import uuid7
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from api.answers import Fault
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


class Kind(NamedTuple):
    """Status and title that all problems of one code share."""

    status: int
    title: str


CATALOGUE: dict[str, Kind] = {
    "request_invalid": Kind(400, "The request cannot be understood"),
    "json_invalid": Kind(400, "The body is not valid JSON"),
    "key_missing": Kind(401, "An API key is needed"),
    "key_wrong": Kind(401, "The API key is not valid"),
    "scope_missing": Kind(403, "The API key does not allow this"),
    "forgery_suspected": Kind(403, "The request did not come from this service's own page"),
    "link_invalid": Kind(403, "The link is invalid or has expired"),
    "not_found": Kind(404, "Not found"),
    "blob_not_found": Kind(404, "File not found"),
    "method_not_allowed": Kind(405, "Method not allowed"),
    "job_not_finished": Kind(409, "The job has not ended yet"),
    "job_canceled": Kind(409, "The job was canceled"),
    "nothing_to_redo": Kind(409, "No image can be done again"),
    "job_not_in_review": Kind(409, "The job is not in review"),
    "template_not_in_review": Kind(409, "The template is not in review"),
    "template_in_use": Kind(409, "The template is in use"),
    "template_missing": Kind(409, "There is no template to approve"),
    "paused_by_operator": Kind(409, "Paused by the operator"),
    "image_not_finished": Kind(409, "The image has not ended yet"),
    "image_failed": Kind(409, "The image has no result: it failed"),
    "image_canceled": Kind(409, "The image has no result: its job was canceled"),
    "webhook_disabled": Kind(409, "The webhook is disabled"),
    "idempotency_key_busy": Kind(409, "The same request is still being processed"),
    "upload_complete": Kind(409, "The upload is already complete"),
    "upload_in_use": Kind(409, "The upload is in use"),
    "request_too_large": Kind(413, "The request is too large"),
    "image_too_large": Kind(413, "The picture's file is too large"),
    "mask_too_large": Kind(413, "The mask's file is too large"),
    "range_unsatisfiable": Kind(416, "The file has no such part"),
    "media_type_unsupported": Kind(415, "Unsupported media type"),
    "validation_failed": Kind(422, "The request does not match the schema"),
    "idempotency_key_invalid": Kind(422, "Invalid Idempotency-Key"),
    "idempotency_key_reused": Kind(422, "The Idempotency-Key belongs to another request"),
    "size_mismatch": Kind(422, "The file's size differs from the announced size"),
    "size_missing": Kind(422, "An upload's size is missing"),
    "parts_invalid": Kind(422, "Parts of the file are missing"),
    "cursor_invalid": Kind(422, "Invalid cursor"),
    "rights_missing": Kind(422, "The statement of rights is missing"),
    "upload_unknown": Kind(422, "Unknown upload"),
    "template_unknown": Kind(422, "Unknown template"),
    "template_not_ready": Kind(422, "The template is not ready"),
    "templates_mixed": Kind(422, "A mask's template cannot be combined with others"),
    "job_unknown": Kind(422, "Unknown job"),
    "webhook_unknown": Kind(422, "Unknown webhook"),
    "mask_missing": Kind(422, "An image has no mask"),
    "text_marks_missing": Kind(422, "Text marks are not available"),
    "too_many_images": Kind(422, "The job has too many images"),
    "url_not_allowed": Kind(422, "The address is not allowed"),
    "destination_not_allowed": Kind(422, "The destination is not allowed"),
    "destination_refused": Kind(422, "No write access to the destination"),
    "destination_collides": Kind(422, "Several results have one address"),
    "manifest_invalid": Kind(422, "The manifest has invalid rows"),
    "manifest_unreadable": Kind(422, "The manifest cannot be read"),
    "source_refused": Kind(422, "No read access to the bucket"),
    "image_unreadable": Kind(422, "The file is not a readable picture"),
    "image_truncated": Kind(422, "The picture's file is truncated"),
    "image_empty": Kind(422, "The picture has no pixels"),
    "image_too_many_pixels": Kind(422, "The picture has too many pixels"),
    "image_format_unsupported": Kind(422, "Files of this kind are not supported"),
    "image_too_many_parts": Kind(422, "The file has too many frames, pages or parts"),
    "image_needs_too_much_memory": Kind(422, "The picture needs too much memory"),
    "image_takes_too_long": Kind(422, "The picture takes too long to decode"),
    "mask_unreadable": Kind(422, "The mask is not a readable picture"),
    "mask_empty": Kind(422, "The mask marks nothing"),
    "mask_covers_nearly_all": Kind(422, "The mask marks nearly the whole picture"),
    "mask_too_many_pixels": Kind(422, "The mask has too many pixels"),
    "mask_too_many_parts": Kind(422, "The mask's file has too many parts"),
    "mask_format_unsupported": Kind(422, "Unsupported mask format"),
    "mask_size_mismatch": Kind(422, "The mask's size differs from its picture's"),
    "rate_limited": Kind(429, "Too many requests"),
    "quota_exceeded": Kind(429, "Quota exceeded"),
    "internal_error": Kind(500, "Internal error"),
    "service_busy": Kind(503, "The service is busy"),
    "too_many_streams": Kind(503, "Too many event streams"),
    "not_ready": Kind(503, "The service is not ready"),
    "ledger_unavailable": Kind(503, "The ledger is unavailable"),
    "blob_store_unavailable": Kind(503, "The object store is unavailable"),
    "storage_full": Kind(507, "No room is left"),
    "blob_store_refused": Kind(503, "The object store refuses the service"),
}

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
    details = error.errors(include_url=False, include_context=False, include_input=False)
    faults = []
    for item in details[:MAX_FAULTS]:
        path = (*prefix, *(part for part in item["loc"] if part not in UNION_TAGS))
        detail = sentence(item["type"], item["msg"])
        if location == "query":
            faults.append(Fault(parameter=str(path[0]) if path else None, detail=detail))
        else:
            faults.append(Fault(pointer=pointer(*path), detail=detail))
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
        "type": f"{public_url}/docs#problem-{code}",
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
