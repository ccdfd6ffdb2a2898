"""Results of a whole job: a manifest of its results, a file of its errors, and a ZIP of its pictures.

Manifest and errors are read from the ledger while they are sent, and the ZIP's pictures from the object store.
"""

from __future__ import annotations

import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from api import answers, auth, concurrency
from api.archive import ZipPlan, ZipStream
from api.filenames import download_name
from api.problems import Problem, responses
from api.stores import Stores, stores
from storage import records
from storage.ledger.jobs.filters import ImageFilter
from storage.ledger.jobs.reading import get_job, list_images, list_results
from storage.ledger.tenants.sessions import select_valid
from storage.records import ImageState, JobState, Scope

blueprint = APIBlueprint("results", __name__, tag={"name": "Results", "description": "What came of a job, as files."})
auth.protect(blueprint, writes=Scope.SUBMIT)

LINES = "application/jsonl"
_ZIP: Any = {
    "application/zip": {
        "schema": {"type": "string", "format": "binary"},
        # A line of the file in it.
        "x-manifest-line": {"$ref": "#/components/schemas/ManifestLine"},
    }
}
_ZIP_HEADERS: Any = {
    "ETag": {"description": "Names these contents.", "schema": {"type": "string"}},
    "Content-Length": {"description": "Its size in bytes.", "schema": {"type": "integer"}},
    "Accept-Ranges": {"description": "`bytes`.", "schema": {"type": "string"}},
}
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
        "Under the pictures' paths, or their names where they have none, in a form that every system unpacks; of "
        "several with one name the later ones are numbered. The last file, `manifest.jsonl`, has a line for each image "
        "of the job, see `ManifestLine`. It has a length and an `ETag`: send `Range` and `If-Range` to continue a ZIP "
        "that was cut off."
    ),
    responses=responses(
        "job_not_finished",
        "range_unsatisfiable",
        "blob_not_found",
        "blob_store_unavailable",
        also={
            200: {"description": "The ZIP.", "content": _ZIP, "headers": _ZIP_HEADERS},
            206: {"description": "The part of the ZIP that `Range` asks for.", "content": _ZIP},
            304: {"description": "It is as the `ETag` in `If-None-Match` names it; no body."},
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
    plan = ZipPlan()
    try:
        _plan(plan, backend, tenant, job)
    except BaseException:
        plan.close()
        raise
    stream = ZipStream(plan, lambda key: _while(goes_on, backend.blobs.read(key)))
    answer = Response(stream, mimetype="application/zip")
    answer.headers["Content-Disposition"] = f'attachment; filename="{job_id}.zip"'
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.content_length = plan.length
    answer.set_etag(plan.etag)
    try:
        answer.make_conditional(request, accept_ranges=True, complete_length=plan.length)
    except RequestedRangeNotSatisfiable:
        plan.close()
        detail = f"The ZIP has {plan.length} bytes."
        raise Problem("range_unsatisfiable", detail, headers={"Content-Range": f"bytes */{plan.length}"}) from None
    return answer


def _plan(plan: ZipPlan, backend: Stores, tenant: str, job: records.Job) -> None:
    """Lays the ZIP of a job's results out, and its manifest."""
    with tempfile.TemporaryFile() as manifest:
        for image in _images(backend, tenant, job.id):
            current = image.current
            file, size = None, current.result_bytes
            if current.result_key is not None:
                crc = current.result_crc32
                if size is None or crc is None:
                    # A version before 0021 kept neither.
                    size, crc = _measure(backend.blobs.read(current.result_key))
                ended_at = current.finished_at or current.created_at
                file = plan.add(result_path(image), ended_at, size=size, crc=crc, key=current.result_key)
            line = answers.ManifestLine.of(image, file, size if file is not None else None)
            manifest.write(line.model_dump_json().encode() + b"\n")
        plan.add_text("manifest.jsonl", job.finished_at or job.created_at, manifest)
    plan.finish()


def _measure(pieces: Iterator[bytes]) -> tuple[int, int]:
    """The number of bytes, and their CRC-32."""
    size, crc = 0, 0
    for piece in pieces:
        size, crc = size + len(piece), zlib.crc32(piece, crc)
    return size, crc


def result_path(image: records.Image) -> str:
    """The picture's path, or its name where it has none, with the extension of its result's format."""
    folder, slash, _ = (image.path or "").rpartition("/")
    return folder + slash + download_name(image)


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
    while True:
        page = list_results(backend.database, tenant, job_id, limit=_PAGE, after=after)
        if page.results:
            yield page.results
        if page.then is None:
            return
        after = page.then


def _failed_images(backend: Stores, tenant: str, job_id: str) -> Iterator[list[records.Image]]:
    yield from _pages_of_images(backend, tenant, job_id, ImageFilter(state=ImageState.FAILED))


def _images(backend: Stores, tenant: str, job_id: str) -> Iterator[records.Image]:
    for page in _pages_of_images(backend, tenant, job_id, ImageFilter()):
        yield from page


def _pages_of_images(backend: Stores, tenant: str, job_id: str, only: ImageFilter) -> Iterator[list[records.Image]]:
    after: int | None = None
    while page := list_images(backend.database, tenant, job_id, limit=_PAGE, after=after, only=only):
        yield page
        after = page[-1].position
