"""Adds to every request and answer: a request id, one access event in the log, security headers.

The access event names the route's rule and the ids in the path, and never the path or the query, because those can
hold a signed token. It also names the key, and so says who asked for what.
"""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from apiflask import APIFlask
from flask import Response, g, request
from uuid6 import uuid7

from cleanplate.telemetry import meters
from storage.records import Caller

_log = structlog.get_logger("api.access")

#: Ids in paths, by the names of their fields in the log.
_IN_PATH = {
    "job_id": "job",
    "image_id": "image",
    "upload_id": "upload",
    "template_id": "template",
    "webhook_id": "webhook",
    "delivery_id": "delivery",
}
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def register(app: APIFlask) -> None:
    """Give every request of ``app`` an id, an access event and security headers."""
    https = urlsplit(str(app.config["PUBLIC_URL"])).scheme == "https"

    @app.before_request
    def begin() -> None:
        offered = request.headers.get("X-Request-Id", "")
        g.request_id = offered if _SANE_ID.fullmatch(offered) else f"req_{uuid7().hex}"
        g.began = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.teardown_request
    def forget(_error: BaseException | None) -> None:
        # The thread serves other requests next; their log lines must not carry this request's id.
        structlog.contextvars.clear_contextvars()

    @app.after_request
    def tag(answer: Response) -> Response:
        """Answers 304 to a conditional GET of JSON that has not changed (RFC 9110, section 13)."""
        whole = answer.status_code == HTTPStatus.OK and answer.is_json and not answer.is_streamed
        if whole and request.method == "GET" and request.path.startswith("/v1/"):
            answer.add_etag(weak=True)
            answer.headers["Cache-Control"] = "private, no-cache"
            answer.make_conditional(request)
        return answer

    @app.after_request
    def end(answer: Response) -> Response:
        answer.headers["X-Request-Id"] = g.request_id
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        if https:
            answer.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        rule = request.url_rule.rule if request.url_rule else "none"
        meters.HTTP_SECONDS.labels(request.method, rule, answer.status_code).observe(time.perf_counter() - g.began)
        _log.info(
            "request",
            method=request.method,
            route=request.url_rule.rule if request.url_rule else None,
            status=answer.status_code,
            code=g.get("problem_code"),
            **_ids(),
            bytes_in=request.content_length,
            bytes_out=answer.content_length,
            seconds=round(time.perf_counter() - g.began, 4),
        )
        return answer


def _ids() -> dict[str, str | None]:
    """Who asks, and for what: the tenant, its key, the ids in the path, and the job of an image."""
    caller: Caller | None = g.get("caller")
    named = {_IN_PATH[name]: value for name, value in (request.view_args or {}).items() if name in _IN_PATH}
    if "job_id" in g:
        named["job"] = g.job_id
    return {"tenant": caller and caller.tenant_id, "key": caller and caller.key_id, **named}
