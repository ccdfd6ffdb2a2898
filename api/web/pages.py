"""The base of all pages: access, content security policy, and language.

``Pages`` is a blueprint whose every route needs a session; a browser without one is led to the login and back.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from apiflask import APIBlueprint
from flask import Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from api import auth
from api.stores import Stores, stores
from api.web import csrf, session, texts
from cleanplate.base.loopback import is_loopback
from model.formats import TYPES_BY_ENDING
from storage.blobs import LocalBlobs
from storage.records import Caller, Scope


class Pages(APIBlueprint):
    """A blueprint of pages. Their routes may use ``auth.tenant()`` and the like, as those of the API."""

    def __init__(self, name: str, import_name: str) -> None:
        super().__init__(name, import_name, enable_openapi=False)
        self.before_request(_only_with_a_session)
        self.after_request(_finished)


class OpenPages(APIBlueprint):
    """A blueprint of pages that need no session."""

    def __init__(self, name: str, import_name: str) -> None:
        super().__init__(name, import_name, enable_openapi=False)
        self.before_request(_at_the_public_name)
        self.after_request(_finished)


def show(template: str, *, status: int = 200, **what: Any) -> Response:
    """A page made from a template of ``templates/web``."""
    tag = texts.language()
    answer = make_response(
        render_template(
            f"web/{template}",
            language=tag,
            languages=texts.LANGUAGES,
            texts_for_scripts=texts.for_scripts(tag),
            picture_types=TYPES_BY_ENDING,
            csrf_token=csrf.token,
            signed_in=session.secret_of_request() is not None,
            administers=_administers(),
            **what,
        ),
        status,
    )
    answer.headers["Content-Security-Policy"] = policy(stores())
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.vary.update(("Cookie", "Accept-Language"))
    return answer


def _administers() -> bool:
    """Whether the caller may see operations. Reads no ledger, which may be unavailable on an error page."""
    caller: Caller | None = g.get("session_caller")
    return caller is not None and Scope.ADMIN in caller.scopes


def policy(backend: Stores) -> str:
    """The policy of a page: scripts and styles of this service; pictures and files also of the object store."""
    files = _address_of_files(backend)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' blob: data:{files}",
            f"connect-src 'self'{files}",
            "manifest-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def _address_of_files(backend: Stores) -> str:
    """The origin of presigned links, if it is not this service."""
    if backend.settings.blobs_url.startswith("s3:"):
        blobs = backend.blobs
        if not isinstance(blobs, LocalBlobs):
            link = urlsplit(blobs.presigned_get("t/policy", filename="policy", expires_s=1).url)
            return f" {link.scheme}://{link.netloc}"
    return ""


def _at_the_public_name() -> AnyResponse | None:
    """Redirects ``localhost`` to ``127.0.0.1``, or back: they are two origins, and links lead to one of them."""
    public = urlsplit(stores().settings.public_url)
    asked = urlsplit(request.url)
    both_here = is_loopback(public.hostname) and is_loopback(asked.hostname)
    if request.method == "GET" and both_here and asked.hostname != public.hostname and asked.port == public.port:
        return redirect(urlunsplit((public.scheme, public.netloc, asked.path, asked.query, "")))
    return None


def _only_with_a_session() -> AnyResponse | None:
    elsewhere = _at_the_public_name()
    if elsewhere is not None:
        return elsewhere
    caller = session.caller()
    if caller is None:
        there = request.full_path.rstrip("?") if request.method == "GET" else "/"
        return redirect(url_for("login.page", next=there))
    csrf.check()
    auth.act_as(caller)
    return None


def _finished(answer: Response) -> Response:
    return texts.remember(answer)
