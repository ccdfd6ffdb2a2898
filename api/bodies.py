"""Reading request bodies strictly: the media type must be right, and a broken body is a problem that says where."""

from __future__ import annotations

from typing import IO, Any

from apiflask import APIBlueprint
from flask import Request, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.formparser import FormDataParser

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


class StrictRequest(Request):
    """Flask's request. A form that breaks off is an error, and its files are closed whatever happens."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._spooled: list[IO[bytes]] = []

    def make_form_data_parser(self) -> FormDataParser:
        parser = super().make_form_data_parser()
        parser.silent = False
        return parser

    def parse_form(self) -> None:
        """Read the whole form, files to disk if they are large.

        Raises:
            Problem: ``request_invalid``; it is broken or cut off.
        """
        try:
            self._load_form_data()
        except ValueError as error:
            raise Problem("request_invalid", "The form is broken or cut off: send it again.") from error

    def close(self) -> None:
        super().close()
        for file in self._spooled:
            file.close()

    def _get_file_stream(self, *args: Any, **kwargs: Any) -> IO[bytes]:
        file = super()._get_file_stream(*args, **kwargs)
        self._spooled.append(file)
        return file


def only_json(blueprint: APIBlueprint) -> None:
    """Refuse bodies of another media type for all routes of ``blueprint``."""

    @blueprint.before_request
    def must_be_json() -> None:
        if request.method in {"POST", "PATCH"} and not request.is_json:
            raise unsupported("application/json")


def must_be_json(blueprint: APIBlueprint, *endpoints: str) -> None:
    """Refuse bodies of another media type for these routes of ``blueprint``; its others take none."""

    @blueprint.before_request
    def these_must_be_json() -> None:
        if request.endpoint in endpoints and request.method != "OPTIONS" and not request.is_json:
            raise unsupported("application/json")


def unsupported(*wanted: str) -> Problem:
    """The problem of a body with a wrong media type, naming the right ones."""
    return Problem(
        "media_type_unsupported",
        f"Send the body as {' or '.join(wanted)} and say so in the header Content-Type.",
        headers={"Accept": ", ".join(wanted)},
    )
