"""Deliveries of webhooks with their attempts; a test post, repeated posts, and a new secret."""

from __future__ import annotations

from apiflask import APIBlueprint

from api import answers, auth, cursors, requests
from api.bodies import must_be_json
from api.idempotency import done_once
from api.problems import responses
from api.stores import stores
from storage.ledger.webhooks.deliveries import get_delivery, list_deliveries, recover, redeliver
from storage.ledger.webhooks.endpoints import ping, rotate_secret
from storage.records import Scope

blueprint = APIBlueprint(
    "deliveries", __name__, tag={"name": "Webhook deliveries", "description": "What was posted, and what came back."}
)
auth.protect(blueprint, writes=Scope.ADMIN)
must_be_json(blueprint, "deliveries.recover_failed")


@blueprint.post("/v1/webhooks/<id:webhook_id>/rotate")
@blueprint.input(requests.Rotation, location="query")
@blueprint.output(answers.WebhookWithSecret, description="The webhook with its new secret, shown this once.")
@blueprint.doc(
    summary="Rotate a webhook's secret",
    description=(
        "Until `keep_s` seconds have passed, posts carry two signatures: by the new secret and by the one before. A "
        "receiver takes either, and is given the new secret meanwhile."
    ),
)
def rotate(webhook_id: str, query_data: requests.Rotation) -> tuple[answers.WebhookWithSecret, int, dict[str, str]]:
    (endpoint, secret), headers = done_once(
        lambda once: rotate_secret(
            stores().database, auth.tenant(), webhook_id, keep_s=query_data.keep_s, once=once, actor=auth.actor()
        )
    )
    return answers.WebhookWithSecret(secret=secret, **answers.Webhook.fields_of(endpoint)), 200, headers


@blueprint.post("/v1/webhooks/<id:webhook_id>/ping")
@blueprint.output(
    answers.Delivery, status_code=202, description="Queued; get the delivery to see the receiver's answer."
)
@blueprint.doc(
    summary="Send a test event",
    description="Posts an event `ping`, whatever the webhook's filters.",
    responses=responses("webhook_disabled"),
)
def send_ping(webhook_id: str) -> tuple[answers.Delivery, int, dict[str, str]]:
    database, tenant = stores().database, auth.tenant()
    delivery_id, headers = done_once(lambda once: ping(database, tenant, webhook_id, once=once))
    return answers.Delivery.of(get_delivery(database, tenant, webhook_id, delivery_id)), 202, headers


@blueprint.get("/v1/webhooks/<id:webhook_id>/deliveries")
@blueprint.input(requests.DeliveriesQuery, location="query")
@blueprint.output(answers.DeliveryPage, description="Deliveries, newest first.")
@blueprint.doc(
    summary="List a webhook's deliveries",
    description="Each with all its attempts: when, the answer's status and first characters, or why there was none.",
    responses=responses("cursor_invalid"),
)
def index(webhook_id: str, query_data: requests.DeliveriesQuery) -> answers.DeliveryPage:
    deliveries = list_deliveries(
        stores().database,
        auth.tenant(),
        webhook_id,
        limit=query_data.limit + 1,
        after=cursors.decode("delivery", query_data.cursor),
        state=query_data.state,
        job_id=query_data.job_id,
        event=query_data.event,
    )
    page = deliveries[: query_data.limit]
    return answers.DeliveryPage(
        data=[answers.Delivery.of(delivery) for delivery in page],
        next_cursor=cursors.encode("delivery", page[-1].id) if len(deliveries) > len(page) else None,
    )


@blueprint.get("/v1/webhooks/<id:webhook_id>/deliveries/<id:delivery_id>")
@blueprint.output(answers.Delivery, description="The delivery.")
@blueprint.doc(summary="Get a delivery")
def show(webhook_id: str, delivery_id: str) -> answers.Delivery:
    return answers.Delivery.of(get_delivery(stores().database, auth.tenant(), webhook_id, delivery_id))


@blueprint.post("/v1/webhooks/<id:webhook_id>/deliveries/<id:delivery_id>/redeliver")
@blueprint.output(answers.Delivery, status_code=202, description="Queued again.")
@blueprint.doc(
    summary="Redeliver an event",
    description="With the same `webhook-id`; the schedule of retries starts again.",
    responses=responses("webhook_disabled"),
)
def again(webhook_id: str, delivery_id: str) -> tuple[answers.Delivery, int, dict[str, str]]:
    database, tenant = stores().database, auth.tenant()
    _, headers = done_once(lambda once: redeliver(database, tenant, webhook_id, delivery_id, once=once))
    return answers.Delivery.of(get_delivery(database, tenant, webhook_id, delivery_id)), 202, headers


@blueprint.post("/v1/webhooks/<id:webhook_id>/recover")
@blueprint.input(requests.Recovery, location="json")
@blueprint.output(answers.Recovered, status_code=202, description="Queued again.")
@blueprint.doc(
    summary="Redeliver all failed events since a time or an event",
    description=(
        "Also those that a disabled webhook missed: enable it first. They keep their order and their `webhook-id`. One "
        "call queues up to 10,000; repeat it while `more` is true."
    ),
    responses=responses("webhook_disabled"),
)
def recover_failed(webhook_id: str, json_data: requests.Recovery) -> tuple[answers.Recovered, int, dict[str, str]]:
    (queued, more), headers = done_once(
        lambda once: recover(
            stores().database, auth.tenant(), webhook_id, since=json_data.since, after=json_data.after, once=once
        )
    )
    return answers.Recovered(queued=queued, more=more), 202, headers
