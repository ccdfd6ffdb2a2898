"""The documentation page, rendered from the OpenAPI document: no script, no request to anybody else."""

from __future__ import annotations

import re

from apiflask import APIBlueprint
from flask import Response, make_response, render_template
from markupsafe import Markup, escape

from api.openapi import current_document
from api.problems import CATALOGUE
from api.reference import schema_fields, sections

blueprint = APIBlueprint("docs", __name__, enable_openapi=False)

_CODE = re.compile("`([^`]+)`")
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@blueprint.app_template_filter("ticked")
def ticked(text: str) -> Markup:
    """Plain text as HTML, with what stands between backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first


@blueprint.get("/docs")
def page() -> Response:
    document = current_document()
    answer = make_response(
        render_template(
            "docs.html",
            document=document,
            sections=sections(document),
            schema_fields=schema_fields,
            problems=CATALOGUE,
        )
    )
    answer.headers["Content-Security-Policy"] = _POLICY
    return answer
