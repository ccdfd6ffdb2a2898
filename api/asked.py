"""The image that a request asks for, and the name of its job for the access log."""

from __future__ import annotations

from flask import g

from api import auth
from api.stores import stores
from storage.ledger.jobs.reading import get_image
from storage.records import Image


def asked_image(image_id: str) -> Image:
    """The caller's image.

    Raises:
        NotFound: the caller has no such image.
    """
    image = get_image(stores().database, auth.tenant(), image_id)
    g.job_id = image.job_id
    return image
