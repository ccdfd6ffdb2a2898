"""The documentation page: a vendored reader of the OpenAPI document, and the list of all errors."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, make_response, render_template

from api.problems import CATALOGUE

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
    answer = make_response(render_template("docs.html", problems=CATALOGUE))
    answer.headers["Content-Security-Policy"] = _POLICY
    return answer
