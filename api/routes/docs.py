"""The documentation: a vendored reader of the OpenAPI document, the list of all errors, and a page for each of them."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, make_response, render_template
from markupsafe import Markup, escape

from api.problem_kinds import CATALOGUE
from api.problems import Problem

blueprint = APIBlueprint("docs", __name__, enable_openapi=False)

#: Pictures in its stylesheet are data; the description is fetched from this service.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


@blueprint.get("/docs")
def page() -> Response:
    return _page(render_template("docs.html", problems=CATALOGUE))


@blueprint.get("/problems/<id:code>")
def problem(code: str) -> Response:
    kind = CATALOGUE.get(code)
    if kind is None:
        raise Problem("not_found", "There is no problem of this code. /docs lists all of them.")
    meaning, advice = _with_code(kind.meaning), _with_code(kind.advice)
    return _page(render_template("problem.html", code=code, kind=kind, meaning=meaning, advice=advice))


def _page(html: str) -> Response:
    answer = make_response(html)
    answer.headers["Content-Security-Policy"] = _POLICY
    return answer


def _with_code(text: str) -> Markup:
    """The text as HTML; what stands between backticks is code."""
    parts = text.split("`")
    return Markup().join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )
