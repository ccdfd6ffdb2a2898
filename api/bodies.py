"""Reading request bodies strictly: the media type must be right, and broken JSON is a problem that says where."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import request
from flask.json.provider import DefaultJSONProvider

from api.problems import Problem


class StrictJson(DefaultJSONProvider):
    """Flask's JSON, with a problem in place of an exception."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        try:
            return super().loads(s, **kwargs)
        except RecursionError:
            raise Problem("json_invalid", "The JSON is nested too deeply.") from None
        except ValueError as error:
            raise Problem("json_invalid", f"The body is not valid JSON: {error}.") from error


def only_json(blueprint: APIBlueprint) -> None:
    """Refuse bodies of another media type for all routes of ``blueprint``."""

    @blueprint.before_request
    def must_be_json() -> None:
        if request.method == "POST" and not request.is_json:
            raise unsupported("application/json")


def unsupported(*wanted: str) -> Problem:
    """The problem of a body with a wrong media type, naming the right ones."""
    return Problem(
        "media_type_unsupported",
        f"Send the body as {' or '.join(wanted)} and say so in the header Content-Type.",
        headers={"Accept": ", ".join(wanted)},
    )
