"""Checks that a request which changes something by a session comes from the service's own page.

Two checks, each enough for a good browser: the address the request came from, as the browser states it, and a token
that only the page could read.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import current_app, request
from flask_wtf.csrf import generate_csrf, validate_csrf
from wtforms import ValidationError

from api.problems import Problem

HEADER = "X-CSRF-Token"
FIELD = "csrf_token"
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})


def token() -> str:
    """The token of the current session, for the page."""
    made: str = generate_csrf()
    return made


def check() -> None:
    """Raises:
    Problem: ``forgery_suspected``; the request changes something and another page may have made it.
    """
    if request.method in _HARMLESS:
        return
    _check_origin()
    sent = request.headers.get(HEADER)
    if sent is None and request.mimetype == "application/x-www-form-urlencoded":
        sent = request.form.get(FIELD)
    try:
        validate_csrf(sent)
    except ValidationError as error:
        raise Problem(
            "forgery_suspected", "The page's token is missing or belongs to another session: reload the page."
        ) from error


def _check_origin() -> None:
    origin = request.headers.get("Origin") or request.headers.get("Referer")
    if origin is None:
        return
    public = urlsplit(str(current_app.config["PUBLIC_URL"])).netloc
    if urlsplit(origin).netloc not in {request.host, public}:
        raise Problem("forgery_suspected", "A page of another site sent this request.")
