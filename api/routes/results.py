"""Results of a whole job: a manifest of its results, a file of its errors, and a ZIP of its pictures.

All three are streams: they are read from ledger and object store while they are sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from apiflask import APIBlueprint
from flask import Response

from api import answers, auth
from api.archive import stream_zip
from api.problems import Problem, responses
from api.stores import Stores, stores
from cleanplate.base.names import stem_and_extension
from storage import records
from storage.ledger.jobs.filters import ImageFilter
from storage.ledger.jobs.reading import get_job, list_images
from storage.records import ImageState, JobState, Scope

blueprint = APIBlueprint("results", __name__, tag={"name": "Results", "description": "What came of a job, as files."})
auth.protect(blueprint, writes=Scope.SUBMIT)

LINES = "application/jsonl"
_PAGE = 500


@blueprint.get("/v1/jobs/<id:job_id>/results")
@blueprint.doc(
    summary="Get the manifest of a job's results",
    description="JSON Lines, one image with a result a line, in the job's order; at any time, with what there is.",
    responses=responses(
        also={
            200: {
                "description": "One line for each image with a result.",
                "content": {LINES: {"schema": {"$ref": "#/components/schemas/ResultLine"}}},
            }
        },
    ),
)
def results(job_id: str) -> Response:
    backend, tenant = stores(), auth.tenant()
    get_job(backend.database, tenant, job_id)
    lines = (answers.ResultLine.of(image) for image in _images(backend, tenant, job_id) if image.result_key)
    return _lines(lines)


@blueprint.get("/v1/jobs/<id:job_id>/errors")
@blueprint.doc(
    summary="Get a job's errors",
    description="JSON Lines, one failed image a line with the reason, in the job's order.",
    responses=responses(
        also={
            200: {
                "description": "One line for each image that failed.",
                "content": {LINES: {"schema": {"$ref": "#/components/schemas/ErrorLine"}}},
            }
        },
    ),
)
def errors(job_id: str) -> Response:
    backend, tenant = stores(), auth.tenant()
    get_job(backend.database, tenant, job_id)
    failed = _images(backend, tenant, job_id, ImageState.FAILED)
    return _lines(answers.ErrorLine.of(image) for image in failed)


@blueprint.get("/v1/jobs/<id:job_id>/archive")
@blueprint.doc(
    summary="Download a job's results as a ZIP",
    description=(
        "Streamed, under the pictures' names; of several with one name the later ones are numbered. A ZIP that breaks "
        "off has no directory at its end and is refused by every program."
    ),
    responses=responses(
        "job_not_finished",
        also={
            200: {
                "description": "The ZIP.",
                "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    ),
)
def archive(job_id: str) -> Response:
    backend, tenant = stores(), auth.tenant()
    job = get_job(backend.database, tenant, job_id)
    if job.state not in {JobState.COMPLETED, JobState.CANCELED}:
        raise Problem("job_not_finished", f"The job is {job.state}. Ask again when it has ended.")
    files = (
        (download_name(image), image.finished_at or image.created_at, backend.blobs.get(image.result_key))
        for image in _images(backend, tenant, job_id)
        if image.result_key
    )
    headers = {"Content-Disposition": f'attachment; filename="{job_id}.zip"'}
    return Response(stream_zip(files), mimetype="application/zip", headers=headers)


def download_name(image: records.Image) -> str:
    """The picture's name, with the extension of its result's format."""
    stem, extension = stem_and_extension(image.name)
    return stem + (PurePosixPath(image.result_key or "").suffix or extension)


def _lines(items: Iterator[answers.ResultLine] | Iterator[answers.ErrorLine]) -> Response:
    return Response((f"{item.model_dump_json()}\n" for item in items), mimetype=LINES)


def _images(backend: Stores, tenant: str, job_id: str, state: ImageState | None = None) -> Iterator[records.Image]:
    only, after = ImageFilter(state=state), None
    while page := list_images(backend.database, tenant, job_id, limit=_PAGE, after=after, only=only):
        yield from page
        after = page[-1].position
