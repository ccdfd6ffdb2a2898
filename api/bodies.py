"""Reading request bodies strictly: the media type must be right, and a broken body is a problem that says where.

Only callers that the service knows may send more than a small body: by a key, a session or a signed link.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from apiflask import APIBlueprint, APIFlask
from flask import Request, has_request_context, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.formparser import FormDataParser

from api import auth
from api.connections import SMALL_BODY
from api.problems import Problem
from api.stores import stores
from api.under_path import path_below, remove_path
from cleanplate.base.settings import Settings
from storage.blobs.local import LocalBlobs
from storage.errors import LinkInvalid, StorageError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Bytes of a form beside its file.
FORM_BYTES = 64 * 1024
#: Routes whose bodies list the images of a job.
_JOBS = frozenset({"jobs.submit", "manifests.submit"})
#: An image, its mask with a list of boxes, one box, its options.
_CONTAINERS_OF_IMAGE = 5
_CONTAINERS_BESIDE = 1000
#: Of all other routes: a thousand uploads, or ten thousand parts.
_USUAL_BYTES = 4 << 20
_USUAL_CONTAINERS = 20_000


class StrictJson(DefaultJSONProvider):
    """Flask's JSON, with a problem in place of an exception."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        if has_request_context():
            _check_extent(s)
        try:
            return super().loads(s, **kwargs)
        except RecursionError:
            raise Problem("json_invalid", "The JSON is nested too deeply.") from None
        except ValueError as error:
            raise Problem("json_invalid", f"The body is not valid JSON: {error}.") from error


@dataclass(frozen=True)
class Bounds:
    """The largest JSON body of a route: in bytes, and in objects and lists, which cost far more memory."""

    length: int
    containers: int


def bounds(settings: Settings) -> Bounds:
    """The bounds of the current request's body."""
    if request.endpoint in _JOBS:
        return Bounds(settings.max_request_bytes, _CONTAINERS_BESIDE + _CONTAINERS_OF_IMAGE * settings.max_job_images)
    return Bounds(min(_USUAL_BYTES, settings.max_request_bytes), _USUAL_CONTAINERS)


def register(app: APIFlask) -> None:
    """Bound the bodies of all requests to ``app`` by their routes; signed links state their own bounds."""

    @app.before_request
    def bound_body() -> None:
        if request.path.startswith("/v1/"):
            request.max_content_length = bounds(stores().settings).length
        elif request.blueprint != "blobs":
            request.max_content_length = SMALL_BODY


def _check_extent(text: str | bytes) -> None:
    """Refuse JSON with too many objects and lists before they are made.

    Brackets in strings count too, which the bounds allow for.

    Raises:
        Problem: ``request_too_large``.
    """
    most = bounds(stores().settings).containers
    opened = text.count("{") + text.count("[") if isinstance(text, str) else text.count(b"{") + text.count(b"[")
    if opened > most:
        raise Problem("request_too_large", f"The JSON has more than {most} objects and lists. Send a manifest instead.")


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


def longest_body(app: APIFlask, environ: WSGIEnvironment) -> int:
    """Bytes that this request's body may have, by who sends it and where; more is not read."""
    remove_path(environ, path_below(str(app.config["PUBLIC_URL"])))
    with app.request_context(environ):
        if request.blueprint == "blobs" and request.view_args is not None:
            blobs = stores().blobs
            if isinstance(blobs, LocalBlobs):
                with suppress(LinkInvalid):
                    link = blobs.read_link(request.view_args["token"], request.method)
                    return (link.max_bytes or stores().settings.max_image_bytes) + FORM_BYTES
        elif request.path.startswith("/v1/"):
            with suppress(StorageError):
                if auth.identified() is not None:
                    return bounds(stores().settings).length
        return SMALL_BODY


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
