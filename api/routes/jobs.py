"""Jobs: submit one, see how far it is, list its images, cancel it."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, request
from pydantic import ValidationError

from api import answers, auth, cursors, requests
from api.bodies import must_be_json, unsupported
from api.concurrency import waiting
from api.dry_runs import dry_run
from api.gathering import check_count, gather_job, places_of
from api.idempotency import done_once, once
from api.inline import read_inline_job
from api.problems import Problem, responses, validation_problem
from api.rights import require_rights
from api.stores import Stores, stores
from api.submitting import accepted, submit_to_ledger
from api.watching import version_of
from storage.errors import UploadUnknown
from storage.ledger.jobs.changes import cancel_job, describe_job, retry_failed
from storage.ledger.jobs.reading import Doubted, get_job, list_images, list_images_by_doubt, list_jobs
from storage.ledger.lifecycle.transitions import OPEN_JOB
from storage.ledger.retention.deletion import delete_job
from storage.ledger.templates.review import approve_job
from storage.ledger.tenants.idempotency import Once, recall_answer
from storage.records import Image, Scope

blueprint = APIBlueprint(
    "jobs",
    __name__,
    tag={"name": "Jobs", "description": "Submit pictures to be cleaned, and follow them."},
)
auth.protect(blueprint, writes=Scope.SUBMIT)
must_be_json(blueprint, "jobs.approve", "jobs.describe")


@blueprint.post("/v1/jobs")
@blueprint.output(answers.Job, status_code=202, description="Accepted; `Location` says where to follow it.")
@blueprint.doc(
    summary="Submit a job",
    description=(
        "As JSON, for jobs of any size: `images` with ids of uploads or addresses, a `manifest` that lists them, or a "
        "`folder` in S3; or as multipart/form-data with the pictures in it, for small ones. A job that is refused "
        "leaves nothing behind. With an `Idempotency-Key` the request may be sent again for 24 hours: the same request "
        "gets the first answer, with `Idempotency-Replayed: true`."
    ),
    responses=responses(
        "request_invalid",
        "idempotency_key_busy",
        "idempotency_key_invalid",
        "idempotency_key_reused",
        "quota_exceeded",
        "size_missing",
        "image_too_large",
        "mask_too_large",
        "rights_missing",
        "upload_unknown",
        "url_not_allowed",
        "manifest_invalid",
        "manifest_unreadable",
        "blob_not_found",
        "source_refused",
        "webhook_unknown",
        "template_unknown",
        "template_not_ready",
        "templates_mixed",
        "mask_missing",
        "too_many_images",
        "image_unreadable",
        "image_empty",
        "image_too_many_pixels",
        "image_format_unsupported",
        "image_too_many_parts",
        "mask_unreadable",
        "mask_empty",
        "mask_covers_nearly_all",
        "mask_too_many_pixels",
        "mask_format_unsupported",
        "mask_too_many_parts",
        "mask_size_mismatch",
        "destination_not_allowed",
        "destination_refused",
        "destination_collides",
        "nothing_new",
        "blob_store_unavailable",
        also={
            200: {
                "description": "With `dry_run`: what the job would be.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/DryRun"}}},
            }
        },
    ),
)
def submit() -> tuple[answers.Job | answers.DryRun, int, dict[str, str]]:
    backend, tenant = stores(), auth.tenant()
    if not request.is_json and request.mimetype != "multipart/form-data":
        raise unsupported("application/json", "multipart/form-data")
    attempt = once()
    given = recall_answer(backend.database, tenant, attempt) if attempt is not None else None
    if given is not None:
        return accepted(answers.Job.model_validate(given), replayed=True)
    if request.is_json:
        body = _read_body(backend)
        if body.dry_run:
            return dry_run(backend, tenant, gather_job(backend, tenant, body)), 200, {}
        job, replayed = _submit_uploaded(backend, tenant, attempt, body)
    else:
        job, replayed = submit_to_ledger(
            backend, tenant, read_inline_job(backend, tenant), attempt, webhook_field="webhook"
        )
    return accepted(job, replayed=replayed)


def _read_body(backend: Stores) -> requests.NewJob:
    given = request.get_json()
    if isinstance(given, dict):
        require_rights(given)
        if isinstance(given.get("images"), list):
            check_count(backend, len(given["images"]))
    try:
        return requests.NewJob.model_validate(given)
    except ValidationError as error:
        raise validation_problem(error) from error


def _submit_uploaded(
    backend: Stores, tenant: str, attempt: Once | None, body: requests.NewJob
) -> tuple[answers.Job, bool]:
    job = gather_job(backend, tenant, body)
    try:
        return submit_to_ledger(backend, tenant, job, attempt, webhook_field="webhook_id")
    except UploadUnknown as error:
        raise Problem(error.code, str(error), faults=places_of(body, set(error.identifiers))) from error


@blueprint.get("/v1/jobs")
@blueprint.input(requests.JobsQuery, location="query")
@blueprint.output(answers.JobPage, description="Jobs, newest first unless `order` says otherwise.")
@blueprint.doc(
    summary="List jobs",
    description="All filters hold together. Repairs made by hand on the page are listed only by `kind`.",
    responses=responses(
        "cursor_invalid",
    ),
)
def index(query_data: requests.JobsQuery) -> answers.JobPage:
    return page_of_jobs(query_data)


def page_of_jobs(query: requests.JobsQuery) -> answers.JobPage:
    """One page of the caller's jobs. Raises Problem ``cursor_invalid``."""
    jobs = list_jobs(
        stores().database,
        auth.tenant(),
        limit=query.limit + 1,
        after=cursors.decode("job", query.cursor),
        only=query.filter,
        oldest_first=query.order == "oldest",
    )
    page = jobs[: query.limit]
    more = len(jobs) > len(page)
    return answers.JobPage(
        data=[answers.Job.of(job) for job in page],
        next_cursor=cursors.encode("job", page[-1].id) if more else None,
    )


@blueprint.get("/v1/jobs/<id:job_id>")
@blueprint.output(answers.Job, description="The job.")
@blueprint.input(requests.WaitQuery, location="query")
@blueprint.doc(
    summary="See how far a job is",
    description=(
        "With `wait` the answer comes as soon as the job has changed, or has ended, or the time is up: a long poll. "
        "Send back the `ETag` as `If-None-Match`, and no change in between is missed."
    ),
    responses=responses("too_many_streams"),
)
def show(job_id: str, query_data: requests.WaitQuery) -> tuple[answers.Job, int, dict[str, str]]:
    backend, tenant = stores(), auth.tenant()
    job = answers.Job.of(get_job(backend.database, tenant, job_id))
    known = request.if_none_match.contains_weak(version_of(job)) or not request.if_none_match
    if query_data.wait and known and job.state in OPEN_JOB:
        _await_news(backend, job, min(float(query_data.wait), backend.settings.stream_s))
        job = answers.Job.of(get_job(backend.database, tenant, job_id))
    return job, 200, {"ETag": f'W/"{version_of(job)}"'}


def _await_news(backend: Stores, job: answers.Job, wait_s: float) -> None:
    subscription = backend.watcher.subscribe(auth.caller(), job.id, {job.id: version_of(job)})
    try:
        with waiting():
            subscription.take(wait_s)
    finally:
        backend.watcher.unsubscribe(subscription)
    if subscription.revoked:
        raise auth.key_ended()


@blueprint.patch("/v1/jobs/<id:job_id>")
@blueprint.input(requests.JobChanges, location="json")
@blueprint.output(answers.Job, description="The job as it is now.")
@blueprint.doc(
    summary="Rename or label a job",
    description="Changes `name`, `labels` and `metadata`, each as a whole; missing fields stay as they are.",
)
def describe(job_id: str, json_data: requests.JobChanges) -> answers.Job:
    job = describe_job(
        stores().database,
        auth.tenant(),
        job_id,
        name=json_data.name,
        labels=json_data.labels,
        metadata=json_data.metadata,
    )
    return answers.Job.of(job)


@blueprint.post("/v1/jobs/<id:job_id>/cancel")
@blueprint.output(answers.Job, description="The job as it is now.")
@blueprint.doc(
    summary="Cancel a job",
    description="Images that have not ended become `canceled`; what has ended stays. Repeating it changes nothing.",
)
def cancel(job_id: str) -> answers.Job:
    return answers.Job.of(cancel_job(stores().database, auth.tenant(), job_id, actor=auth.actor()))


@blueprint.post("/v1/jobs/<id:job_id>/approve")
@blueprint.input(requests.Approve, location="json")
@blueprint.output(answers.Job, description="The job as it is now.")
@blueprint.doc(
    summary="Approve a job in review",
    description=(
        "Of a job with `mask: {mode: auto}` that needs review: with the marks that were found in its pictures, or with "
        "other templates. What needed review is approved by it. Repeating it changes nothing."
    ),
    responses=responses(
        "job_canceled",
        "job_not_in_review",
        "template_missing",
        "template_unknown",
        "template_not_ready",
        "templates_mixed",
    ),
)
def approve(job_id: str, json_data: requests.Approve) -> answers.Job:
    job = approve_job(stores().database, auth.tenant(), job_id, json_data.templates, actor=auth.actor())
    return answers.Job.of(job)


@blueprint.post("/v1/jobs/<id:job_id>/retry")
@blueprint.output(answers.Job, description="The job as it is now.")
@blueprint.doc(
    summary="Try the failed images of a job again",
    description="One attempt each; what succeeded stays. The job is open again until they have ended.",
    responses=responses("job_canceled", "quota_exceeded"),
)
def retry(job_id: str) -> tuple[answers.Job, int, dict[str, str]]:
    database, tenant = stores().database, auth.tenant()
    job, headers = done_once(lambda once: retry_failed(database, tenant, job_id, once=once, actor=auth.actor()))
    return answers.Job.of(job), 200, headers


@blueprint.delete("/v1/jobs/<id:job_id>")
@blueprint.doc(
    summary="Delete a job with its files",
    description=(
        "At once for everybody who asks; results, and uploads that no other job uses, leave the object store within "
        "the hour. What has not ended is canceled. The audit log keeps what was done."
    ),
    responses=responses(also={204: {"description": "It is gone."}}),
)
def delete(job_id: str) -> Response:
    delete_job(stores().database, auth.tenant(), job_id, actor=auth.actor())
    return Response(status=204)


@blueprint.get("/v1/jobs/<id:job_id>/images")
@blueprint.input(requests.ImagesQuery, location="query")
@blueprint.output(answers.ImagePage, description="Images, in the job's order unless `order` says otherwise.")
@blueprint.doc(
    summary="List a job's images",
    responses=responses("cursor_invalid"),
)
def images(job_id: str, query_data: requests.ImagesQuery) -> answers.ImagePage:
    by_doubt = query_data.order == "doubt"
    images = _images_by_doubt(job_id, query_data) if by_doubt else _images_by_position(job_id, query_data)
    page = images[: query_data.limit]
    then = None
    if len(images) > len(page):
        last = page[-1]
        place = f"{last.doubt}-{last.position}" if by_doubt else last.position
        then = cursors.encode("doubt" if by_doubt else "image", place)
    return answers.ImagePage(data=[answers.Image.of(image) for image in page], next_cursor=then)


def _images_by_position(job_id: str, query: requests.ImagesQuery) -> list[Image]:
    """The images of a part of the list, and one more if there is one."""
    after = cursors.decode_position("image", query.cursor)
    return list_images(stores().database, auth.tenant(), job_id, limit=query.limit + 1, after=after, only=query.filter)


def _images_by_doubt(job_id: str, query: requests.ImagesQuery) -> list[Image]:
    """As :func:`_images_by_position`, the doubtful ones first."""
    place = cursors.decode("doubt", query.cursor)
    after = None
    if place is not None:
        doubt, _, position = place.partition("-")
        after = Doubted(cursors.position_of(doubt), cursors.position_of(position))
    return list_images_by_doubt(
        stores().database, auth.tenant(), job_id, limit=query.limit + 1, after=after, only=query.filter
    )
