"""Images: the state of one picture, and a signed link to its result."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api import answers, auth
from api.filenames import download_name
from api.problems import Problem, responses
from api.stores import stores
from storage.ledger.jobs.reading import get_image
from storage.records import ENDED, ImageState, Scope

blueprint = APIBlueprint(
    "images", __name__, tag={"name": "Images", "description": "The pictures of a job, one by one."}
)
auth.protect(blueprint, writes=Scope.SUBMIT)


@blueprint.get("/v1/images/<id:image_id>")
@blueprint.output(answers.Image, description="The image.")
@blueprint.doc(summary="Get an image")
def show(image_id: str) -> answers.Image:
    return answers.Image.of(get_image(stores().database, auth.tenant(), image_id))


@blueprint.get("/v1/images/<id:image_id>/result")
@blueprint.doc(
    summary="Download an image's result",
    description="Redirects to a signed link, which works for a while and for whoever has it.",
    responses=responses(
        "image_not_finished",
        "image_failed",
        "image_canceled",
        "blob_store_unavailable",
        also={
            302: {
                "description": "`Location` is the link to the file.",
                "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}},
            }
        },
    ),
)
def result(image_id: str) -> Response:
    backend = stores()
    image = get_image(backend.database, auth.tenant(), image_id)
    if image.state is ImageState.FAILED:
        raise Problem("image_failed", f"{image.error_code}: {image.error_detail}")
    if image.state is ImageState.CANCELED:
        raise Problem("image_canceled", "The image's job was canceled before this image was done.")
    if image.state not in ENDED or image.result_key is None:
        raise Problem("image_not_finished", f"The image is {image.state}. Ask again when it has ended.")
    link = backend.blobs.presigned_get(
        image.result_key, filename=download_name(image), expires_s=backend.settings.link_expiry_s
    )
    return Response(status=302, headers={"Location": link.url})
