"""The page that repairs one picture. It works through the API alone: uploads, a job of one image, its result."""

from __future__ import annotations

from flask import Response

from api import auth, text_marks
from api.images import networks_of
from api.stores import stores
from api.web.pages import Pages, show
from cleanplate.base.weights import SHIPPED
from model.engine.costs import costs_for
from storage.database import Database
from storage.ledger.operations.devices import list_devices

blueprint = Pages("repair", __name__)

#: Pixels of a usual pass: a mark in a corner, with the picture around it.
_PASS_PX = 256 * 256


@blueprint.get("/")
def page() -> Response:
    settings = stores().settings
    own = settings.weights or SHIPPED
    return show(
        "repair.html",
        networks=sorted(networks_of(settings), key=lambda name: (name != own, name)),
        own_network=own,
        shipped_network=SHIPPED,
        times_slower=_times_slower(stores().database),
        text_marks=text_marks.is_offered(settings),
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        owner=auth.tenant(),
    )


def _times_slower(database: Database) -> int | None:
    """How many times slower the large network is on the service's CPUs; ``None``: it has other devices."""
    if {report.device for report in list_devices(database)} != {"cpu"}:
        return None
    large, small = (costs_for(name, "cpu").of(_PASS_PX) for name in ("lama", "fourier-unet"))
    return round(large / small)
