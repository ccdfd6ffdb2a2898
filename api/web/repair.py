"""The page that repairs one picture. It works through the API alone: uploads, a job of one image, its result."""

from __future__ import annotations

from flask import Response

from api import auth, text_marks
from api.images import networks_of
from api.stores import stores
from api.web.networks import offer
from api.web.pages import Pages, show
from cleanplate.base.weights import LARGE, SHIPPED

blueprint = Pages("repair", __name__)


@blueprint.get("/")
def page() -> Response:
    settings = stores().settings
    own = settings.weights or SHIPPED
    return show(
        "repair.html",
        networks=sorted(networks_of(settings), key=lambda name: (name != own, name)),
        own_network=own,
        shipped_network=SHIPPED,
        large_network=LARGE,
        offer=offer(),
        text_marks=text_marks.is_offered(settings),
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        owner=auth.tenant(),
    )
