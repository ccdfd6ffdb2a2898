"""Judging a job's results, and doing some of its images again."""

from __future__ import annotations

from apiflask import APIBlueprint

from api import answers, auth, requests
from api.answers import Fault
from api.bodies import only_json
from api.destinations import probe_destination, read_destination
from api.idempotency import once
from api.images import Refused, check_model, check_text
from api.problems import Problem, pointer, responses
from api.stores import stores
from api.submitting import accepted
from storage.errors import NotFound
from storage.ledger.jobs.reading import get_job
from storage.ledger.jobs.redoing import Redo, redo_images, review_images
from storage.records import Scope

blueprint = APIBlueprint(
    "redoing", __name__, tag={"name": "Judging", "description": "What people think of results, and doing them again."}
)
auth.protect(blueprint, writes=Scope.SUBMIT)
only_json(blueprint)


@blueprint.post("/v1/jobs/<id:job_id>/review")
@blueprint.input(requests.NewReviews, location="json")
@blueprint.output(answers.Reviewed, description="The number of images.")
@blueprint.doc(
    summary="Judge several images of a job",
    description="Images that are not the tenant's are left out of the number. Repeating it changes nothing.",
)
def review(job_id: str, json_data: requests.NewReviews) -> answers.Reviewed:
    database, tenant = stores().database, auth.tenant()
    get_job(database, tenant, job_id)
    changed = review_images(database, tenant, json_data.images, json_data.review, json_data.note, job_id=job_id)
    return answers.Reviewed(changed=len(changed))


@blueprint.post("/v1/jobs/<id:job_id>/redo")
@blueprint.input(requests.NewRedo, location="json")
@blueprint.output(answers.Job, status_code=202, description="The child job; `Location` says where to follow it.")
@blueprint.doc(
    summary="Do images of a job again",
    description=(
        "As a child of the job, with another mask, template, options or network: images by id, by state, code or "
        "judgement; without a selection those that were rejected. With `replace` (the default) each result that "
        "succeeds takes the place of the image's own, in the job's results and ZIP; `replaced_by` says so."
    ),
    responses=responses(
        "job_not_finished",
        "nothing_to_redo",
        "quota_exceeded",
        "upload_unknown",
        "template_unknown",
        "template_not_ready",
        "templates_mixed",
        "text_marks_missing",
        "webhook_unknown",
        "destination_not_allowed",
        "destination_refused",
        "blob_store_unavailable",
    ),
)
def redo(job_id: str, json_data: requests.NewRedo) -> tuple[answers.Job, int, dict[str, str]]:
    backend, tenant = stores(), auth.tenant()
    get_job(backend.database, tenant, job_id)
    try:
        if json_data.options is not None:
            check_model(json_data.options, backend.settings)
        check_text(json_data.mask, backend.settings, "mask/mode")
    except Refused as error:
        field = pointer(*error.field.split("/"))
        raise Problem(error.code, f"{field}: {error.detail}", faults=[error.fault(field)]) from error
    destination = read_destination(json_data.destination)
    if destination is not None:
        probe_destination(backend, destination)
    how = Redo(
        image_ids=json_data.images or (),
        only=json_data.filter,
        mask=json_data.chosen_mask,
        options=json_data.options,
        replaces=json_data.replace,
        name=json_data.name,
        priority=json_data.priority,
        destination=destination,
        webhook_endpoint_id=json_data.webhook_id,
        retention_s=backend.settings.retention_s(json_data.retention_days),
        key_id=auth.caller().key_id,
    )
    try:
        attempt = once()
        done = redo_images(
            backend.database,
            tenant,
            job_id,
            how,
            most=backend.settings.max_job_images,
            once=attempt,
            actor=auth.actor(),
        )
    except NotFound as error:
        if error.kind == "webhook endpoint":
            code, place = "webhook_unknown", pointer("webhook_id")
            fault = Fault(pointer=place, code=code, detail="There is no such webhook.")
            raise Problem(code, f"There is no webhook {error.identifier!r}.", faults=[fault]) from error
        raise
    return accepted(answers.Job.of(done.made), replayed=done.replayed)
