"""Shows errors as pages to people; programs and scripts get the problem's JSON body."""

from __future__ import annotations

from flask import Response, request

from api.problems import Problem
from api.web.pages import show

_FOR_MACHINES = ("/v1/", "/blobs/", "/static/", "/session", "/networks/")


def page_for(problem: Problem) -> Response | None:
    """The page of a problem, if a person made the request."""
    for_a_person = (
        "text/html" in request.headers.get("Accept", "")
        and not request.path.startswith(_FOR_MACHINES)
        and not request.headers.get("HX-Request")
    )
    if not for_a_person:
        return None
    return show("failure.html", status=problem.kind.status, problem=problem)
