"""The page that repairs one picture. It works through the API alone: uploads, a job of one image, its result."""

from __future__ import annotations

from flask import Response

from api import auth
from api.stores import stores
from api.web.pages import Pages, show

blueprint = Pages("repair", __name__)


@blueprint.get("/")
def page() -> Response:
    settings = stores().settings
    return show(
        "repair.html",
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        owner=auth.tenant(),
    )
