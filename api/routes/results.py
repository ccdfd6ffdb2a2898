"""Results of a whole job: a manifest of its results, a file of its errors, and a ZIP of its pictures.

All three are streams: they are read from ledger and object store while they are sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from apiflask import APIBlueprint
from flask import Response, request

from api import answers, auth, concurrency
from api.archive import stream_zip
from api.filenames import download_name
from api.problems import Problem, responses
from api.stores import Stores, stores
from storage import records
from storage.ledger.jobs.reading import get_job, list_images, list_results
from storage.ledger.tenants.sessions import select_valid
from storage.records import ImageState, JobState, Scope

blueprint = APIBlueprint("results", __name__, tag={"name": "Results", "description": "What came of a job, as files."})
auth.protect(blueprint, writes=Scope.SUBMIT)

LINES = "application/jsonl"
_PAGE = 500
#: Seconds after which an archive that is being sent asks again whether its key still holds.
RECHECK_S = 2.0


class DownloadEnded(ConnectionError):
    """A download ends before its end: its client has left, or its key was revoked."""


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
    return _lines(map(answers.ResultLine.of, page) for page in _results(backend, tenant, job_id))


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
    return _lines(map(answers.ErrorLine.of, page) for page in _failed_images(backend, tenant, job_id))


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
    concurrency.start_sending()
    goes_on = _permission(backend)
    files = (
        (
            download_name(result),
            result.finished_at or job.created_at,
            _while(goes_on, backend.blobs.read(result.result_key)),
        )
        for page in _results(backend, tenant, job_id)
        for result in page
    )
    headers = {"Content-Disposition": f'attachment; filename="{job_id}.zip"'}
    return Response(stream_zip(files), mimetype="application/zip", headers=headers)


def _permission(backend: Stores) -> Callable[[], bool]:
    """Whether the current request may go on: its client is there, and its key or session still holds."""
    caller, asked_at = auth.caller(), time.monotonic()
    has_left: Callable[[], bool] = request.environ.get("waitress.client_disconnected", lambda: False)

    def goes_on() -> bool:
        nonlocal asked_at
        if has_left():
            return False
        if time.monotonic() < asked_at + RECHECK_S:
            return True
        asked_at = time.monotonic()
        return caller in select_valid(backend.database, {caller})

    return goes_on


def _while(goes_on: Callable[[], bool], pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Raises DownloadEnded as soon as ``goes_on`` is false."""
    for piece in pieces:
        if not goes_on():
            raise DownloadEnded
        yield piece


def _lines(pages: Iterable[Iterable[answers.Answer]]) -> Response:
    """A page is sent in one piece: each piece costs the server more than its lines do."""
    concurrency.start_sending()
    return Response(("".join(f"{item.model_dump_json()}\n" for item in page) for page in pages), mimetype=LINES)


def _results(backend: Stores, tenant: str, job_id: str) -> Iterator[list[records.Result]]:
    after: int | None = None
    while page := list_results(backend.database, tenant, job_id, limit=_PAGE, after=after):
        yield page
        after = page[-1].position


def _failed_images(backend: Stores, tenant: str, job_id: str) -> Iterator[list[records.Image]]:
    after: int | None = None
    while page := list_images(backend.database, tenant, job_id, limit=_PAGE, after=after, state=ImageState.FAILED):
        yield page
        after = page[-1].position
