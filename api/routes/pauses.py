"""Pauses and resumes a job, or all jobs of the key's tenant. No key resumes what the operator paused."""

from __future__ import annotations

from apiflask import APIBlueprint

from api import answers, auth
from api.problems import responses
from api.stores import stores
from storage.ledger.jobs.pauses import pause_job, pause_tenant, pauses_of, resume_job, resume_tenant
from storage.records import PausedBy, Scope

blueprint = APIBlueprint(
    "pauses", __name__, tag={"name": "Pauses", "description": "Work that is held back for a while."}
)
auth.protect(blueprint, writes=Scope.ADMIN)


@blueprint.post("/v1/jobs/<id:job_id>/pause")
@blueprint.output(answers.Job, description="The job as it is now.")
@blueprint.doc(
    summary="Pause a job",
    description=(
        "No further image begins; running images are put back at the next tile and keep their attempts. "
        "The deadline stays. Repeating it changes nothing."
    ),
)
def pause(job_id: str) -> answers.Job:
    return answers.Job.of(pause_job(stores().database, auth.tenant(), job_id, PausedBy.TENANT, actor=auth.actor()))


@blueprint.post("/v1/jobs/<id:job_id>/resume")
@blueprint.output(answers.Job, description="The job as it is now.")
@blueprint.doc(
    summary="Resume a job",
    description="The job stays `paused` while its tenant or the service is paused. Repeating it changes nothing.",
    responses=responses("paused_by_operator"),
)
def resume(job_id: str) -> answers.Job:
    return answers.Job.of(resume_job(stores().database, auth.tenant(), job_id, PausedBy.TENANT, actor=auth.actor()))


@blueprint.get("/v1/pause")
@blueprint.output(answers.Pause, description="Whether the tenant is paused.")
@blueprint.doc(summary="Get whether all jobs are paused")
def show() -> answers.Pause:
    return answers.Pause.of(pauses_of(stores().database, auth.tenant()))


@blueprint.put("/v1/pause")
@blueprint.output(answers.Pause, description="The tenant is paused.")
@blueprint.doc(
    summary="Pause all jobs",
    description="Pauses all jobs of this tenant, and those submitted later.",
)
def pause_all() -> answers.Pause:
    pause_tenant(stores().database, auth.tenant(), PausedBy.TENANT, actor=auth.actor())
    return answers.Pause.of(pauses_of(stores().database, auth.tenant()))


@blueprint.delete("/v1/pause")
@blueprint.output(answers.Pause, description="Whether the tenant is still paused.")
@blueprint.doc(
    summary="Resume all jobs",
    description="Jobs that are paused themselves stay paused.",
    responses=responses("paused_by_operator"),
)
def resume_all() -> answers.Pause:
    resume_tenant(stores().database, auth.tenant(), PausedBy.TENANT, actor=auth.actor())
    return answers.Pause.of(pauses_of(stores().database, auth.tenant()))
