"""Jobs with a manifest in the request, and the rows of a manifest that were left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from apiflask import APIBlueprint
from flask import Response, request
from pydantic import ValidationError

from api import answers, auth, concurrency
from api.answers import Fault
from api.bodies import StrictRequest, unsupported
from api.gathering import read_images, with_terms
from api.idempotency import once
from api.problems import Problem, pointer, responses, validation_problem
from api.requests import ManifestTerms
from api.rights import require_rights
from api.routes.results import LINES
from api.stores import stores
from api.submitting import accepted, submit_to_ledger
from storage.ledger.jobs.reading import get_job, list_skipped_rows
from storage.ledger.tenants.idempotency import recall_answer
from storage.records import Scope

blueprint = APIBlueprint(
    "manifests", __name__, tag={"name": "Manifests", "description": "Files that list the pictures of a job."}
)
auth.protect(blueprint, writes=Scope.SUBMIT)

_PAGE = 1000


@blueprint.post("/v1/jobs/manifest")
@blueprint.output(answers.Job, status_code=202, description="Accepted; `Location` says where to follow it.")
@blueprint.doc(
    summary="Submit a job with its manifest",
    description=(
        "As multipart/form-data: the part `manifest` is the file, JSON Lines or CSV; the part `job` is a JSON object "
        "with everything else. A manifest in the object store is named in `POST /v1/jobs`. Each row has an `upload_id` "
        "or a `url`, and may have `custom_id`, `name`, `mask` (JSON in CSV), `mask_upload_id` and `options` (JSON in "
        "CSV, or a column for each: `options.output`). Bad rows are told with line and reason."
    ),
    responses=responses(
        "request_invalid",
        "idempotency_key_busy",
        "idempotency_key_invalid",
        "idempotency_key_reused",
        "quota_exceeded",
        "rights_missing",
        "upload_unknown",
        "webhook_unknown",
        "mail_not_allowed",
        "manifest_invalid",
        "manifest_unreadable",
        "mask_covers_nearly_all",
        "too_many_images",
        "blob_store_unavailable",
    ),
)
def submit() -> tuple[answers.Job, int, dict[str, str]]:
    backend, tenant = stores(), auth.tenant()
    if request.mimetype != "multipart/form-data":
        raise unsupported("multipart/form-data")
    cast(StrictRequest, request).parse_form()
    attempt = once()
    given = recall_answer(backend.database, tenant, attempt) if attempt is not None else None
    if given is not None:
        return accepted(answers.Job.model_validate(given), replayed=True)
    terms = _terms()
    file = request.files["manifest"].stream
    file.seek(0)
    images, skipped = read_images(backend, tenant, file, terms, terms)
    new = with_terms(backend, tenant, terms, images, skipped)
    job, replayed = submit_to_ledger(backend, tenant, new, attempt, webhook_field="job/webhook_id")
    return accepted(job, replayed=replayed)


def _terms() -> ManifestTerms:
    """The part ``job``. Raises Problem: a part is unknown, missing or wrong."""
    faults = [
        Fault(pointer=pointer(name), code="field_unknown", detail="Unknown part: remove it or correct its name.")
        for name in sorted(({*request.form} - {"job"}) | ({*request.files} - {"manifest"}))
    ]
    if len(request.files.getlist("manifest")) != 1:
        detail = "Send one file in a part of this name."
        faults.append(Fault(pointer=pointer("manifest"), code="part_must_be_file", detail=detail))
    if len(request.form.getlist("job")) != 1:
        detail = "Send one JSON object in a part of this name."
        faults.append(Fault(pointer=pointer("job"), code="part_must_be_text", detail=detail))
    if faults:
        raise Problem("validation_failed", f"{faults[0].pointer}: {faults[0].detail}", faults=faults)
    try:
        return ManifestTerms.model_validate_json(request.form["job"])
    except ValidationError as error:
        missing = {str(found["loc"][0]) for found in error.errors() if found["type"] == "missing" and found["loc"]}
        if missing & {"rights_basis", "attested_by", "rights_reference"}:
            require_rights(dict.fromkeys({"rights_basis", "attested_by", "rights_reference"} - missing, "given"))
        raise validation_problem(error, prefix=("job",)) from error


@blueprint.get("/v1/jobs/<id:job_id>/skipped")
@blueprint.doc(
    summary="Get the rows that a job's manifest left out",
    description="JSON Lines, one row a line with the reason, in the manifest's order.",
    responses=responses(
        also={
            200: {
                "description": "One line for each row.",
                "content": {LINES: {"schema": {"$ref": "#/components/schemas/SkippedLine"}}},
            }
        },
    ),
)
def skipped(job_id: str) -> Response:
    backend, tenant = stores(), auth.tenant()
    get_job(backend.database, tenant, job_id)
    concurrency.start_sending()

    def lines() -> Iterator[str]:
        after = 0
        while page := list_skipped_rows(backend.database, tenant, job_id, limit=_PAGE, after=after):
            yield from (f"{answers.SkippedLine.of(row).model_dump_json()}\n" for row in page)
            after = page[-1].line

    return Response(lines(), mimetype=LINES)
