"""Events for webhooks, written in the transaction of their cause: none is lost, and none is invented.

A transaction writes one row for each job, in one statement, whatever the number of images. A row has no foreign key and
takes no lock; :mod:`storage.ledger.webhooks.relay` makes deliveries of it shortly after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, insert, select

from cleanplate.base.documents import JsonObject
from storage.records import EventFilter, Job
from storage.tables import images, jobs, webhook_endpoints, webhook_outbox
from storage.tables.columns import ColumnValues

#: Jobs with at least this number of images get batched deliveries.
TOGETHER_FROM = 1000
#: Most characters of an error's sentence in an event.
_DETAIL_LENGTH = 500
#: Columns of ended images, for their events and for the audit log.
ENDED_IMAGE = (
    images.c.id,
    images.c.job_id,
    images.c.tenant_id,
    images.c.name,
    images.c.path,
    images.c.custom_id,
    images.c.redo_of,
    images.c.attempt,
    images.c.state,
    images.c.error_code,
    images.c.error_detail,
    images.c.finished_at,
)


class Listener(NamedTuple):
    """An endpoint that gets a job's events."""

    endpoint_id: str
    events: tuple[str, ...]
    #: Whether one delivery may carry many images.
    together: bool


#: By job.
Listeners = dict[str, list[Listener]]


def wants(filters: Iterable[str], event_type: str) -> bool:
    """Whether one of the filters (``image.failed``, ``image.*``, ``*``) lets an event through."""
    return any(
        pattern in {event_type, "*"} or (pattern.endswith(".*") and event_type.startswith(pattern[:-1]))
        for pattern in filters
    )


def image_rows(ended: Iterable[Row[Any]], listeners: Listeners) -> list[dict[str, Any]]:
    """Rows of ``webhook_outbox`` for images that ended (rows of ``ENDED_IMAGE``)."""
    events: defaultdict[tuple[str, Listener], list[JsonObject]] = defaultdict(list)
    for row in ended:
        event_type = f"image.{row.state}"
        if event_type not in set(EventFilter):
            continue
        wanted = [listener for listener in listeners.get(row.job_id, ()) if wants(listener.events, event_type)]
        if not wanted:
            continue
        data = {"id": row.id, "job_id": row.job_id, "name": row.name, "path": row.path, "custom_id": row.custom_id}
        if row.redo_of is not None:
            data["redo_of"] = row.redo_of
        if row.error_code is not None:
            data["error"] = {"code": row.error_code, "detail": (row.error_detail or "")[:_DETAIL_LENGTH]}
        for listener in wanted:
            events[row.job_id, listener].append(event(event_type, row.finished_at, data))
    return [
        {"endpoint_id": listener.endpoint_id, "job_id": job_id, "together": listener.together, "events": of_job}
        for (job_id, listener), of_job in events.items()
    ]


def job_ended(connection: Connection, job: Job) -> None:
    """Writes ``job.completed`` or ``job.canceled``; ``job`` as it is afterwards."""
    if job.finished_at is None:
        raise ValueError("The job has not finished.")
    event_type = f"job.{job.state}"
    counts = {
        name: getattr(job.counts, name) for name in ("queued", "running", "succeeded", "skipped", "failed", "canceled")
    }
    data = {
        "id": job.id,
        "name": job.name,
        "labels": job.labels,
        "metadata": job.metadata,
        "parent_job_id": job.parent_job_id,
        "state": job.state.value,
        "total": job.total,
        "counts": counts,
    }
    _tell(connection, job.id, event(event_type, job.finished_at, data))


def job_needs_review(connection: Connection, job: Job, at: datetime) -> None:
    """Writes ``job.needs_review``: the templates found in the job's pictures, or why there are none."""
    if job.review is None:
        raise ValueError("Nothing has been looked for in the pictures of the job.")
    error = None if job.review.error is None else job.review.error.model_dump(exclude_none=True)
    data = {"id": job.id, "state": "needs_review", "templates": job.review.templates, "error": error}
    _tell(connection, job.id, event(EventFilter.JOB_NEEDS_REVIEW, at, data))


def template_event(connection: Connection, template: Row[Any], at: datetime) -> None:
    """Writes ``template.ready``, ``template.needs_review`` or ``template.failed``; ``template`` as it is afterwards."""
    endpoint = connection.execute(
        select(webhook_endpoints.c.id, webhook_endpoints.c.events).where(
            webhook_endpoints.c.id == template.webhook_endpoint_id
        )
    ).first()
    event_type = f"template.{template.state}"
    if endpoint is None or not wants(endpoint.events, event_type):
        return
    data = {name: getattr(template, name) for name in ("id", "name", "version", "state", "source_job_id")}
    if template.error_code is not None:
        data["error"] = {"code": template.error_code, "detail": (template.error_detail or "")[:_DETAIL_LENGTH]}
    events = [event(event_type, at, data)]
    _write(connection, [{"endpoint_id": endpoint.id, "job_id": None, "together": False, "events": events}])


def webhook_disabled(connection: Connection, endpoint: Row[Any], at: datetime, reason: str) -> None:
    """Tells the tenant's other endpoints that one (endpoint_id, tenant_id and url) was disabled."""
    others = connection.execute(
        select(webhook_endpoints.c.id, webhook_endpoints.c.events).where(
            webhook_endpoints.c.tenant_id == endpoint.tenant_id,
            webhook_endpoints.c.id != endpoint.endpoint_id,
            webhook_endpoints.c.disabled_at.is_(None),
        )
    )
    events = [event("webhook.disabled", at, {"id": endpoint.endpoint_id, "url": endpoint.url, "reason": reason})]
    _write(
        connection,
        [
            {"endpoint_id": other.id, "job_id": None, "together": False, "events": events}
            for other in others
            if wants(other.events, "webhook.disabled")
        ],
    )


def event(event_type: str, at: datetime, data: JsonObject) -> JsonObject:
    """The payload of an event, without its sequence number."""
    return {"type": event_type, "timestamp": at.isoformat(), "data": data}


def listeners(connection: Connection, job_ids: set[str]) -> Listeners:
    """The listeners of jobs, by job id. A disabled one is among them: its deliveries wait for :func:`recover`."""
    return listeners_in(connection, connection.execute(select_listeners().where(jobs.c.id.in_(sorted(job_ids)))).all())


def select_listeners() -> Select[Any]:
    """A row for each job, with what :func:`listeners_in` reads."""
    heard = webhook_endpoints.c.id == jobs.c.webhook_endpoint_id
    return select(
        jobs.c.id.label("job_id"),
        jobs.c.total,
        jobs.c.further_webhooks,
        webhook_endpoints.c.id.label("endpoint_id"),
        webhook_endpoints.c.events,
    ).outerjoin(webhook_endpoints, heard)


def listeners_in(connection: Connection, rows: Sequence[Row[Any]]) -> Listeners:
    """As :func:`listeners`, from rows that carry the columns of :func:`select_listeners`.

    Jobs with further endpoints cost one statement more.
    """
    jobs_by_id = {row.job_id: row for row in rows}
    further = {endpoint_id for row in jobs_by_id.values() for endpoint_id in row.further_webhooks or ()}
    events_by_id: dict[str, list[str]] = {}
    if further:
        query = select(webhook_endpoints.c.id, webhook_endpoints.c.events).where(
            webhook_endpoints.c.id.in_(sorted(further))
        )
        events_by_id = {row.id: row.events for row in connection.execute(query)}
    found: Listeners = {}
    for job_id, row in jobs_by_id.items():
        together = row.total >= TOGETHER_FROM
        named = [] if row.endpoint_id is None else [Listener(row.endpoint_id, tuple(row.events), together)]
        named += [
            Listener(endpoint_id, tuple(events_by_id[endpoint_id]), together)
            for endpoint_id in row.further_webhooks or ()
            if endpoint_id in events_by_id
        ]
        if named:
            found[job_id] = named
    return found


def _tell(connection: Connection, job_id: str, told: JsonObject) -> None:
    """Writes an event of a job for all its listeners that want it."""
    named = listeners(connection, {job_id}).get(job_id, ())
    rows = [
        {"endpoint_id": listener.endpoint_id, "job_id": job_id, "together": False, "events": [told]}
        for listener in named
        if wants(listener.events, told["type"])
    ]
    _write(connection, rows)


def _write(connection: Connection, rows: list[ColumnValues]) -> None:
    if rows:
        connection.execute(insert(webhook_outbox), rows)
