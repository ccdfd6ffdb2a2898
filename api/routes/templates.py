"""Templates: marks that are known for many images. Make one, look at it, approve or reject it."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api import answers, auth, cursors, requests
from api.answers import Fault
from api.bodies import must_be_json
from api.gathering import known_places, unknown_upload
from api.idempotency import done_once
from api.problems import Problem, pointer, responses
from api.stores import stores
from cleanplate.base.masks import LogoPlace
from storage import records
from storage.errors import NotFound, UploadUnknown
from storage.ledger.templates.review import approve_template, reject_template
from storage.ledger.templates.templates import create_template_once, delete_template, get_template, list_templates
from storage.records import Scope

blueprint = APIBlueprint(
    "templates",
    __name__,
    tag={"name": "Templates", "description": "Marks that are known for many images, and taken off by un-blending."},
)
auth.protect(blueprint, writes=Scope.SUBMIT)
must_be_json(blueprint, "templates.create")


@blueprint.post("/v1/templates")
@blueprint.input(requests.NewTemplate, location="json")
@blueprint.output(
    answers.Template, status_code=202, description="Accepted; `GET` it until it is no longer `estimating`."
)
@blueprint.doc(
    summary="Create a template",
    description=(
        "Of a `mask` or a `logo` it is `ready` when it is made; found in pictures (`estimate`) it is in `needs_review` "
        "until somebody has looked at its previews, or is `ready` by its confidence where `approve: auto` allows it."
    ),
    responses=responses(
        "upload_unknown",
        "job_unknown",
        "webhook_unknown",
    ),
)
def create(json_data: requests.NewTemplate) -> tuple[answers.Template, int, dict[str, str]]:
    database, tenant, new = stores().database, auth.tenant(), _new(json_data)
    try:
        made, headers = done_once(lambda once: create_template_once(database, tenant, once, new, actor=auth.actor()))
    except UploadUnknown as error:
        raise Problem(error.code, str(error), faults=_places_of(json_data, set(error.identifiers))) from error
    except NotFound as error:
        # The address is right: the body names something unknown.
        job = error.kind == "job"
        place = pointer("estimate", "job_id") if job else pointer("webhook_id")
        detail = f"There is no {error.kind} {error.identifier!r}."
        code = "job_unknown" if job else "webhook_unknown"
        raise Problem(code, detail, faults=[Fault(pointer=place, code=code, detail=detail)]) from error
    return answers.Template.of(made), 202, headers


def _new(body: requests.NewTemplate) -> records.NewTemplate:
    return records.NewTemplate(
        name=body.name,
        spec=_spec(body),
        source_job_id=None if body.estimate is None else body.estimate.job_id,
        webhook_endpoint_id=body.webhook_id,
    )


def _spec(body: requests.NewTemplate) -> records.TemplateSpec:
    if body.mask is not None:
        return records.MaskSpec(upload_ids=[body.mask.upload_id], place=body.mask.placement)
    if body.logo is not None:
        place = LogoPlace.model_validate(body.logo.model_dump(exclude={"upload_id"}))
        return records.LogoSpec(upload_ids=[body.logo.upload_id], place=place)
    assert body.estimate is not None
    return records.EstimateSpec(
        upload_ids=list(dict.fromkeys(body.estimate.upload_ids or [])),
        approve=body.estimate.approve,
        min_confidence=body.estimate.min_confidence,
        force=body.estimate.force,
        logo_upload_id=body.estimate.logo_upload_id,
        painted=body.estimate.painted,
    )


def _places_of(body: requests.NewTemplate, unknown: set[str]) -> list[Fault]:
    """Where unknown uploads stand in the body."""
    places = []
    for name, given in (("mask", body.mask), ("logo", body.logo)):
        if given is not None and given.upload_id in unknown:
            places.append(pointer(name, "upload_id"))
    if body.estimate is not None:
        named = body.estimate.upload_ids or []
        places += [pointer("estimate", "upload_ids", at) for at, upload_id in enumerate(named) if upload_id in unknown]
        places += known_places(body.estimate, unknown, "estimate")
    return [unknown_upload(place) for place in places]


@blueprint.get("/v1/templates")
@blueprint.input(requests.TemplatesQuery, location="query")
@blueprint.output(answers.TemplatePage, description="Templates, newest first.")
@blueprint.doc(
    summary="List templates",
    responses=responses(
        "cursor_invalid",
    ),
)
def index(query_data: requests.TemplatesQuery) -> answers.TemplatePage:
    return page_of_templates(**query_data.model_dump())


def page_of_templates(
    *, limit: int, cursor: str | None = None, state: records.TemplateState | None = None, job_id: str | None = None
) -> answers.TemplatePage:
    """One page of the current tenant's templates. Raises Problem ``cursor_invalid``."""
    after = cursors.decode("template", cursor)
    templates = list_templates(
        stores().database, auth.tenant(), limit=limit + 1, after=after, state=state, job_id=job_id
    )
    page = templates[:limit]
    more = len(templates) > len(page)
    return answers.TemplatePage(
        data=[answers.Template.of(template) for template in page],
        next_cursor=cursors.encode("template", page[-1].id) if more else None,
    )


@blueprint.get("/v1/templates/<id:template_id>")
@blueprint.output(answers.Template, description="The template.")
@blueprint.doc(summary="Get a template")
def show(template_id: str) -> answers.Template:
    return answers.Template.of(get_template(stores().database, auth.tenant(), template_id))


@blueprint.get("/v1/templates/<id:template_id>/previews/<id:preview_id>")
@blueprint.doc(
    summary="Get a template's preview",
    description="A PNG. Redirects to a signed link, which works for a while and for whoever has it.",
    responses=responses(
        "blob_store_unavailable",
        also={
            302: {
                "description": "`Location` is the link to the picture.",
                "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}},
            }
        },
    ),
)
def preview(template_id: str, preview_id: str) -> Response:
    backend = stores()
    template = get_template(backend.database, auth.tenant(), template_id)
    if preview_id not in template.previews:
        raise Problem("not_found", f"The template has no preview {preview_id!r}.")
    link = backend.blobs.presigned_get(
        template.previews[preview_id],
        filename=f"{template_id}-{preview_id}.png",
        expires_s=backend.settings.link_expiry_s,
    )
    return Response(status=302, headers={"Location": link.url})


@blueprint.post("/v1/templates/<id:template_id>/approve")
@blueprint.output(answers.Template, description="The template as it is now.")
@blueprint.doc(
    summary="Approve a template",
    description="Jobs may name it from then on. Repeating it changes nothing.",
    responses=responses("template_not_in_review"),
)
def approve(template_id: str) -> answers.Template:
    template = approve_template(stores().database, auth.tenant(), template_id, actor=auth.actor())
    return answers.Template.of(template)


@blueprint.post("/v1/templates/<id:template_id>/reject")
@blueprint.output(answers.Template, description="The template as it is now.")
@blueprint.doc(
    summary="Reject a template",
    description="No job can name it. Repeating it changes nothing.",
    responses=responses("template_not_in_review"),
)
def reject(template_id: str) -> answers.Template:
    template = reject_template(stores().database, auth.tenant(), template_id, actor=auth.actor())
    return answers.Template.of(template)


@blueprint.delete("/v1/templates/<id:template_id>")
@blueprint.doc(
    summary="Delete a template with its files",
    description="Images cleaned with it stay. An estimate that is running stops.",
    responses=responses("template_in_use", also={204: {"description": "It is gone."}}),
)
def delete(template_id: str) -> Response:
    delete_template(stores().database, auth.tenant(), template_id, actor=auth.actor())
    return Response(status=204)
