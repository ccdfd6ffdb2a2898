"""Overviews of a job: reasons and stages in sum, and a small picture of each image before and after."""

from __future__ import annotations

import threading
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from api import answers, auth, concurrency
from api.asked import asked_image
from api.problems import Problem, responses
from api.stores import stores
from model.imaging import Limits
from model.imaging.apart import view_apart
from storage.blobs.keys import preview_key
from storage.ledger.jobs.overviews import overview
from storage.ledger.tenants.parts import find_upload
from storage.records import Scope

blueprint = APIBlueprint("looks", __name__, tag={"name": "Looks", "description": "Looking over a job, for people."})
auth.protect(blueprint, writes=Scope.SUBMIT)

_LINK: Any = {
    302: {
        "description": "`Location` is the link to the file.",
        "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}},
    }
}
_VIEW = (
    "One WebP of at most 4 megapixels, the first page upright; the headers `Cleanplate-Width` and `Cleanplate-Height` "
    "say how many pixels the picture itself has. For TIFF, HEIC and whatever else a browser does not know."
)
_SEEN: Any = {
    200: {"description": "The view.", "content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}}}
}
_UNSEEN = (
    "blob_not_found",
    "image_too_large",
    "image_unreadable",
    "image_truncated",
    "image_empty",
    "image_too_many_pixels",
    "image_format_unsupported",
    "image_too_many_parts",
    "image_needs_too_much_memory",
    "image_takes_too_long",
    "blob_store_unavailable",
)
#: Decoded pictures are large: each process holds one.
_one_at_a_time = threading.Lock()
#: Well over any preview, in bytes.
_MAX_BYTES = 4 << 20
#: A preview does not change; its image may go.
_KEPT_S = 24 * 3600


@blueprint.get("/v1/jobs/<id:job_id>/overview")
@blueprint.output(answers.Overview, description="Reasons and stages.")
@blueprint.doc(
    summary="Get a job's failure reasons and stage times",
)
def of_job(job_id: str) -> answers.Overview:
    return answers.Overview.model_validate(overview(stores().database, auth.tenant(), job_id))


@blueprint.get("/v1/images/<id:image_id>/preview")
@blueprint.doc(
    summary="Get an image's preview before and after",
    description=(
        "One WebP: the picture before above the picture after, each of the size in the image's `record.preview`. "
        "Images that succeeded have one."
    ),
    responses=responses(
        "blob_not_found",
        "blob_store_unavailable",
        also={
            200: {
                "description": "The two.",
                "content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    ),
)
def preview(image_id: str) -> Response:
    backend, tenant = stores(), auth.tenant()
    image = asked_image(image_id)
    if image.record.preview is None:
        raise Problem("not_found", "The image has no preview: those that succeeded have one.")
    data = backend.blobs.get(preview_key(tenant, image.job_id, image.id), max_bytes=_MAX_BYTES)
    answer = Response(data, mimetype="image/webp")
    answer.headers["Cache-Control"] = f"private, max-age={_KEPT_S}, immutable"
    return answer


@blueprint.get("/v1/uploads/<id:upload_id>/view")
@blueprint.doc(
    summary="Get an uploaded picture in a format that browsers show",
    description=_VIEW,
    responses=responses(*_UNSEEN, also=_SEEN),
)
def of_upload(upload_id: str) -> Response:
    return _seen(find_upload(stores().database, auth.tenant(), upload_id).key)


@blueprint.get("/v1/images/<id:image_id>/view")
@blueprint.doc(
    summary="Get an image's result in a format that browsers show",
    description=_VIEW,
    responses=responses(*_UNSEEN, also=_SEEN),
)
def of_result(image_id: str) -> Response:
    image = asked_image(image_id)
    if image.result_key is None:
        raise Problem("not_found", "The image has no result; its state says whether it will have one.")
    return _seen(image.result_key)


def _seen(key: str) -> Response:
    backend = stores()
    limits = Limits(max_bytes=backend.settings.max_image_bytes, max_pixels=backend.settings.max_image_pixels)
    data = backend.blobs.get(key, max_bytes=limits.max_bytes)
    if not _one_at_a_time.acquire(timeout=concurrency.PATIENCE_S):
        raise concurrency.busy()
    try:
        picture = view_apart(data, limits)
    finally:
        _one_at_a_time.release()
    answer = Response(picture.data, mimetype=picture.content_type)
    answer.headers["Cleanplate-Width"] = str(picture.width)
    answer.headers["Cleanplate-Height"] = str(picture.height)
    answer.headers["Cache-Control"] = f"private, max-age={_KEPT_S}, immutable"
    return answer


@blueprint.get("/v1/images/<id:image_id>/source")
@blueprint.doc(
    summary="Download an image's original",
    description="Redirects to a signed link. Pictures that were given by their address are not kept.",
    responses=responses(also=_LINK),
)
def source(image_id: str) -> Response:
    backend = stores()
    image = asked_image(image_id)
    if image.source_url is not None:
        raise Problem("not_found", "The picture was submitted by its address and is not stored here.")
    link = backend.blobs.presigned_get(image.source_key, filename=image.name, expires_s=backend.settings.link_expiry_s)
    return Response(status=302, headers={"Location": link.url})
