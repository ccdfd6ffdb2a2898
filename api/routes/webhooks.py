"""Webhooks: addresses that receive the events of jobs and images."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api import answers, auth, requests
from api.bodies import only_json
from api.idempotency import done_once
from api.problems import responses
from api.stores import stores
from api.webhook_urls import check_webhook_url
from storage.ledger.webhooks.endpoints import (
    change_endpoint,
    create_endpoint_once,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
)
from storage.records import Scope

blueprint = APIBlueprint(
    "webhooks", __name__, tag={"name": "Webhooks", "description": "Addresses that are told what happens."}
)
auth.protect(blueprint, writes=Scope.ADMIN)
only_json(blueprint)


@blueprint.post("/v1/webhooks")
@blueprint.input(requests.NewWebhook, location="json")
@blueprint.output(
    answers.WebhookWithSecret, status_code=201, description="The webhook and its secret, shown this once."
)
@blueprint.doc(
    summary="Create a webhook",
    description=(
        "Events are posted with Standard Webhooks signatures and repeated until the receiver answers 2xx, or the "
        "schedule is used up. Name the id as `webhook_id` when submitting a job."
    ),
    responses=responses(
        "url_not_allowed",
    ),
)
def create(json_data: requests.NewWebhook) -> tuple[answers.WebhookWithSecret, int, dict[str, str]]:
    backend, tenant = stores(), auth.tenant()
    check_webhook_url(json_data.url, allow_private=backend.settings.webhook_allow_private)
    (endpoint, secret), headers = done_once(
        lambda once: create_endpoint_once(
            backend.database,
            tenant,
            once,
            json_data.url,
            json_data.events,
            all_jobs=json_data.all_jobs,
            actor=auth.actor(),
        )
    )
    return answers.WebhookWithSecret(secret=secret, **answers.Webhook.fields_of(endpoint)), 201, headers


@blueprint.get("/v1/webhooks")
@blueprint.output(answers.WebhookPage, description="All webhooks; never their secrets.")
@blueprint.doc(summary="List webhooks")
def index() -> answers.WebhookPage:
    endpoints = list_endpoints(stores().database, auth.tenant())
    return answers.WebhookPage(
        data=[answers.Webhook(**answers.Webhook.fields_of(endpoint)) for endpoint in endpoints], next_cursor=None
    )


@blueprint.get("/v1/webhooks/<id:webhook_id>")
@blueprint.output(answers.Webhook, description="The webhook; never its secret.")
@blueprint.doc(
    summary="Get a webhook",
)
def show(webhook_id: str) -> answers.Webhook:
    return answers.Webhook(**answers.Webhook.fields_of(get_endpoint(stores().database, auth.tenant(), webhook_id)))


@blueprint.patch("/v1/webhooks/<id:webhook_id>")
@blueprint.input(requests.WebhookChanges, location="json")
@blueprint.output(answers.Webhook, description="The webhook as it is now.")
@blueprint.doc(
    summary="Update a webhook",
    description="Changes its address or events, or enables it again.",
    responses=responses(
        "url_not_allowed",
    ),
)
def change(webhook_id: str, json_data: requests.WebhookChanges) -> answers.Webhook:
    backend = stores()
    if json_data.url is not None:
        check_webhook_url(json_data.url, allow_private=backend.settings.webhook_allow_private)
    changed = change_endpoint(
        backend.database,
        auth.tenant(),
        webhook_id,
        url=json_data.url,
        events=json_data.events,
        all_jobs=json_data.all_jobs,
        enable=bool(json_data.enabled),
        actor=auth.actor(),
    )
    return answers.Webhook(**answers.Webhook.fields_of(changed))


@blueprint.delete("/v1/webhooks/<id:webhook_id>")
@blueprint.doc(
    summary="Delete a webhook",
    description="Jobs that name it continue without it.",
    responses=responses(
        also={204: {"description": "It is gone."}},
    ),
)
def delete(webhook_id: str) -> Response:
    delete_endpoint(stores().database, auth.tenant(), webhook_id, actor=auth.actor())
    return Response(status=204)
