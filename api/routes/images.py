"""Images: the state of one picture, and a signed link to its result."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api import answers, auth, cursors, requests
from api.asked import asked_image
from api.bodies import must_be_json
from api.filenames import download_name
from api.problems import Problem, responses
from api.stores import stores
from storage.ledger.jobs.reading import Place, find_images
from storage.ledger.jobs.redoing import review_images
from storage.records import ENDED, ImageState, Scope

blueprint = APIBlueprint(
    "images", __name__, tag={"name": "Images", "description": "The pictures of a job, one by one."}
)
auth.protect(blueprint, writes=Scope.SUBMIT)
must_be_json(blueprint, "images.judge")

#: In a cursor: behind all images of a job.
_END = "end"


@blueprint.get("/v1/images")
@blueprint.input(requests.ImageSearch, location="query")
@blueprint.output(answers.ImagePage, description="Images, those of the newest job first.")
@blueprint.doc(
    summary="Find images in all jobs",
    description=(
        "All filters hold together. `custom_id` and `sha256` find their images at once. By other filters one call "
        "searches the newest jobs up to 200,000 images: a page may then have fewer images than `limit`, or none, and "
        "`next_cursor` goes on with older jobs."
    ),
    responses=responses("cursor_invalid"),
)
def find(query_data: requests.ImageSearch) -> answers.ImagePage:
    found = find_images(
        stores().database,
        auth.tenant(),
        limit=query_data.limit,
        after=_place(query_data.cursor),
        job=query_data.job_filter,
        image=query_data.image_filter,
    )
    then = None
    if found.then is not None:
        place = _END if found.then.position is None else str(found.then.position)
        then = cursors.encode("images", f"{found.then.job_id}-{place}")
    return answers.ImagePage(data=[answers.Image.of(image) for image in found.images], next_cursor=then)


def _place(cursor: str | None) -> Place | None:
    place = cursors.decode("images", cursor)
    if place is None:
        return None
    job_id, _, position = place.rpartition("-")
    if position == _END:
        return Place(job_id, None)
    return Place(job_id, cursors.position_of(position))


@blueprint.get("/v1/images/<id:image_id>")
@blueprint.output(answers.Image, description="The image.")
@blueprint.doc(summary="Get an image")
def show(image_id: str) -> answers.Image:
    return answers.Image.of(asked_image(image_id))


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
    asked = asked_image(image_id)
    image = asked.current
    if image.state is ImageState.FAILED:
        raise Problem("image_failed", f"{image.error_code}: {image.error_detail}")
    if image.state is ImageState.CANCELED:
        raise Problem("image_canceled", "The image's job was canceled before this image was done.")
    if image.state not in ENDED or image.result_key is None:
        raise Problem("image_not_finished", f"The image is {image.state}. Ask again when it has ended.")
    link = backend.blobs.presigned_get(
        image.result_key, filename=download_name(asked), expires_s=backend.settings.link_expiry_s
    )
    return Response(status=302, headers={"Location": link.url})


@blueprint.patch("/v1/images/<id:image_id>")
@blueprint.input(requests.NewReview, location="json")
@blueprint.output(answers.Image, description="The image as it is now.")
@blueprint.doc(
    summary="Judge an image's result",
    description="`POST /v1/jobs/{job_id}/redo` does `rejected` images again. A note is replaced as a whole.",
)
def judge(image_id: str, json_data: requests.NewReview) -> answers.Image:
    database, tenant = stores().database, auth.tenant()
    review_images(database, tenant, [image_id], json_data.review, json_data.note)
    return answers.Image.of(asked_image(image_id))
