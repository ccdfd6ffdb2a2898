"""Progress as server-sent events: of one job, and of all jobs of a tenant.

Each event holds the whole state of a job. A client that reconnects with ``Last-Event-ID`` gets the current state if it
differs from the one it has, so it misses nothing that matters. A stream ends when its key or session ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request

from api import auth, concurrency
from api.problems import responses
from api.stores import stores
from api.watching import News, Subscription
from storage.ledger.jobs.reading import get_job
from storage.ledger.jobs.watching import look_since
from storage.records import Scope

blueprint = APIBlueprint(
    "events",
    __name__,
    tag={"name": "Events", "description": "Changes of jobs as server-sent events."},
)
auth.protect(blueprint, writes=Scope.SUBMIT)

MEDIA_TYPE = "text/event-stream"
#: Seconds between two keep-alive comments, well below the idle timeout of proxies.
KEEP_ALIVE_S = 15.0
#: Milliseconds after which a browser reconnects a broken stream.
_RETRY_MS = 2000
#: A change carries the time at which its transaction began; the transaction may take this long.
_MARGIN = timedelta(seconds=60)
_LONGEST_ABSENCE = timedelta(days=1)
_HEADERS = {
    # No proxy may buffer, change or compress the stream.
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
_STREAM: Any = {
    "description": "The stream.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/JobEvent"}}},
}


@blueprint.get("/v1/jobs/<id:job_id>/events")
@blueprint.doc(
    summary="Follow a job",
    description=(
        "Server-sent events. `progress` brings the job (see `Job`) at once and whenever it has changed, at most once "
        "a second; `end` brings it when it has ended, and is the last; `gone` says that it was deleted. A stream that "
        "breaks off is resumed with the header `Last-Event-ID`; the answer 204 then says that nothing is new."
    ),
    responses=responses(
        "too_many_streams",
        also={200: _STREAM, 204: {"description": "The job has ended, and `Last-Event-ID` names its end."}},
    ),
)
def of_job(job_id: str) -> Response:
    backend, tenant = stores(), auth.tenant()
    now = News.of(get_job(backend.database, tenant, job_id), datetime.now(UTC))
    heard = request.headers.get("Last-Event-ID") == now.version
    if heard and now.ended:
        return Response(status=204)
    concurrency.start_stream()
    if now.ended:
        return _stream(iter([_event("end", now.version, now.body)]))
    subscription = backend.watcher.subscribe(auth.caller(), job_id, {job_id: now.version})
    answer = _stream(_of_job(subscription, [] if heard else [now], _deadline(backend.settings.stream_s)))
    answer.call_on_close(lambda: backend.watcher.unsubscribe(subscription))
    return answer


@blueprint.get("/v1/events")
@blueprint.doc(
    summary="Follow all jobs",
    description=(
        "Server-sent events. `job` brings a job (see `Job`): at first each that has not ended, then any that has "
        "changed, at most once a second; of more than 500 the newest. A stream that breaks off is taken up again with "
        "the header `Last-Event-ID`, and then also tells which jobs have ended meanwhile, within a day."
    ),
    responses=responses("too_many_streams", also={200: _STREAM}),
)
def of_tenant() -> Response:
    backend, tenant = stores(), auth.tenant()
    look = look_since(backend.database, tenant, _moment_of(request.headers.get("Last-Event-ID")))
    first = [News.of(job, look.at) for job in reversed(look.jobs)]
    concurrency.start_stream()
    subscription = backend.watcher.subscribe(auth.caller(), None, {news.job_id: news.version for news in first})
    answer = _stream(_of_tenant(subscription, first, _deadline(backend.settings.stream_s)))
    answer.call_on_close(lambda: backend.watcher.unsubscribe(subscription))
    return answer


def _of_job(subscription: Subscription, first: list[News], deadline: float) -> Iterator[bytes]:
    news = first
    while True:
        for piece in news:
            yield _event("end" if piece.ended else "progress", piece.version, piece.body)
            if piece.ended:
                return
        if subscription.gone:
            yield _event("gone", "", "{}")
            return
        if subscription.stopped or subscription.revoked or time.monotonic() >= deadline:
            return
        news = subscription.take(_patience(deadline))
        if not news and not subscription.revoked:
            yield b": still here\n\n"


def _of_tenant(subscription: Subscription, first: list[News], deadline: float) -> Iterator[bytes]:
    news = first
    while True:
        for piece in news:
            yield _event("job", str(int(piece.at.timestamp() * 1000)), piece.body)
        if subscription.stopped or subscription.revoked or time.monotonic() >= deadline:
            return
        news = subscription.take(_patience(deadline))
        if not news and not subscription.revoked:
            yield b": still here\n\n"


def _stream(events: Iterator[bytes]) -> Response:
    def begun() -> Iterator[bytes]:
        # Bytes to send at once, so that the headers arrive.
        yield f"retry: {_RETRY_MS}\n\n".encode()
        yield from events

    return Response(begun(), mimetype=MEDIA_TYPE, headers=_HEADERS)


def _event(kind: str, number: str, data: str) -> bytes:
    """One event; ``data`` is a line of JSON."""
    return f"id: {number}\nevent: {kind}\ndata: {data}\n\n".encode()


def _deadline(longest_s: float) -> float:
    return time.monotonic() + longest_s


def _patience(deadline: float) -> float:
    return max(0.0, min(KEEP_ALIVE_S, deadline - time.monotonic()))


def _moment_of(last_event_id: str | None) -> datetime | None:
    """The time from which a reconnecting client wants news; ``None``: it does not reconnect."""
    if last_event_id is None or not last_event_id.isdecimal() or len(last_event_id) > 15:
        return None
    now = datetime.now(UTC)
    since = min(datetime.fromtimestamp(int(last_event_id) / 1000, UTC), now)
    return max(since - _MARGIN, now - _LONGEST_ABSENCE)
