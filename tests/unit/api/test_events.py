"""Server-sent events and long polls: no event is lost, no request is blocked, and every stream ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr
from werkzeug.test import TestResponse

from cleanplate.base.settings import Settings
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.jobs.reading import list_images
from storage.ledger.tenants.sessions import begin_session, end_session, find_session
from storage.ledger.tenants.tenants import create_key, revoke_key
from storage.records import ImageState, Outcome
from tests.running import until
from tests.unit.api.calling import Caller, MakeService, Service


@dataclass(frozen=True)
class Told:
    """One event of a stream."""

    kind: str
    number: str
    job: dict[str, Any]


def told(answer: TestResponse) -> Iterator[Told]:
    """The events of a stream as they arrive."""
    text = ""
    for piece in answer.response:
        text += piece.decode() if isinstance(piece, bytes) else piece
        while "\n\n" in text:
            block, _, text = text.partition("\n\n")
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "event" in fields:
                yield Told(fields["event"], fields["id"], json.loads(fields["data"]))


def end(service: Service, job_id: str) -> None:
    """All images of the job succeed, and it is closed."""
    service.finish(job_id, state=ImageState.SUCCEEDED, result_key="results/x.png", content_type="image/png")
    assert job_id in close_jobs(service.stores.database)


@pytest.fixture
def either(make_service: MakeService, embedded_settings: Settings, database_url: str) -> Service:
    """The API on SQLite and on Postgres."""
    return make_service(embedded_settings.model_copy(update={"database_url": SecretStr(database_url)}))


def test_a_job_is_followed_to_its_end(either: Service) -> None:
    shop = either.caller()
    job = shop.submit(2)
    answer = shop.follow(f"{job['links']['self']}/events")
    assert answer.mimetype == "text/event-stream"
    assert (answer.headers["X-Accel-Buffering"], answer.headers["Cache-Control"]) == ("no", "no-cache, no-transform")
    stream = told(answer)
    first = next(stream)
    assert (first.kind, first.job["state"], first.job["counts"]["queued"]) == ("progress", "queued", 2)
    assert first.job["queue_position"] == 1
    end(either, job["id"])
    *between, last = stream
    assert {event.kind for event in between} <= {"progress"}
    assert (last.kind, last.job["state"], last.job["counts"]["succeeded"]) == ("end", "completed", 2)
    answer.close()
    assert either.stores.watcher.subscribers == 0


def test_a_reconnected_client_gets_each_event_once(service: Service, shop: Caller) -> None:
    job = shop.submit()
    path = f"{job['links']['self']}/events"
    broken_off = shop.follow(path)
    first = next(told(broken_off))
    broken_off.close()

    again = shop.follow(path, headers={"Last-Event-ID": first.number})
    stream = told(again)
    end(service, job["id"])
    numbers = [event.number for event in stream]
    assert first.number not in numbers
    assert len(set(numbers)) == len(numbers)

    # A job that ended meanwhile is reported at once, and once.
    assert [event.kind for event in told(shop.get(path, headers={"Last-Event-ID": first.number}))] == ["end"]
    assert shop.get(path, 204, headers={"Last-Event-ID": numbers[-1]}).data == b""


def test_a_job_that_is_deleted_ends_its_stream(service: Service, shop: Caller) -> None:
    job = shop.submit()
    stream = told(shop.follow(f"{job['links']['self']}/events"))
    next(stream)
    shop("DELETE", job["links"]["self"], status=204)
    assert [event.kind for event in stream] == ["gone"]


def test_a_stream_without_news_lives_and_ends_in_time(make_service: MakeService, embedded_settings: Settings) -> None:
    shop = make_service(embedded_settings.model_copy(update={"stream_s": 0.3})).caller()
    text = shop.get(f"{shop.submit()['links']['self']}/events").get_data(as_text=True)
    assert text.startswith("retry: ")
    assert text.endswith(": still here\n\n")


def test_streams_of_other_tenants_jobs_are_not_there(service: Service, shop: Caller) -> None:
    job = shop.submit()
    service.caller("other").problem("GET", f"{job['links']['self']}/events", 404, "not_found")


def test_all_jobs_of_a_tenant_are_followed_and_no_others(either: Service) -> None:
    shop, other = either.caller(), either.caller("other")
    job = shop.submit()
    other.submit()
    feed = shop.follow("/v1/events")
    stream = told(feed)
    first = next(stream)
    assert (first.kind, first.job["id"]) == ("job", job["id"])
    second = shop.submit()
    assert next(stream).job["id"] == second["id"]
    end(either, job["id"])
    for event in stream:
        assert event.job["id"] in {job["id"], second["id"]}
        if event.job["state"] == "completed":
            break
    feed.close()

    # A client that was away meanwhile gets the end too.
    back = shop.follow("/v1/events", headers={"Last-Event-ID": first.number})
    stream = told(back)
    assert {next(stream).job["id"], next(stream).job["id"]} == {job["id"], second["id"]}
    back.close()


@pytest.mark.parametrize("feed", ["one job", "all jobs"])
def test_the_end_of_its_key_ends_a_stream(either: Service, feed: str) -> None:
    db = either.stores.database
    key, secret = create_key(db, either.tenant("shop"), "leaving")
    job = either.caller().submit()
    path = "/v1/events" if feed == "all jobs" else f"{job['links']['self']}/events"
    leaving, staying = either.stranger(secret).follow(path), either.caller().follow(path)
    stream, other = told(leaving), told(staying)
    for each in (stream, other):
        next(each)
    revoke_key(db, key.id)
    assert list(stream) == []
    either.stranger(secret).problem("GET", path, 401, "key_wrong")
    end(either, job["id"])
    assert next(other).job["id"] == job["id"]
    staying.close()


def test_the_end_of_its_session_ends_a_stream(either: Service) -> None:
    db = either.stores.database
    key, _ = create_key(db, either.tenant("shop"), "page")
    ended, kept = (begin_session(db, key.id, lifetime_s=60) for _ in range(2))
    callers = {find_session(db, secret) for secret in (ended, kept)}
    first, second = (either.stores.watcher.subscribe(caller, None, {}) for caller in callers if caller is not None)
    until(lambda: either.stores.watcher.subscribers == 2, "nobody waits")
    end_session(db, ended)
    until(lambda: first.revoked or second.revoked, "no subscription ended")
    assert (first.revoked, second.revoked) in {(True, False), (False, True)}
    for each in (first, second):
        either.stores.watcher.unsubscribe(each)


def test_the_end_of_its_key_ends_a_long_poll(service: Service) -> None:
    db = service.stores.database
    key, secret = create_key(db, service.tenant("shop"), "leaving")
    path = service.caller().submit()["links"]["self"]
    answers: list[TestResponse] = []
    waiting = threading.Thread(target=lambda: answers.append(service.stranger(secret).any("GET", f"{path}?wait=60")))
    waiting.start()
    until(lambda: service.stores.watcher.subscribers == 1, "nobody waits")
    revoke_key(db, key.id)
    waiting.join(30)
    assert [answer.status_code for answer in answers] == [401]


def test_beyond_the_cap_a_stream_is_refused_and_requests_go_on(
    make_service: MakeService, embedded_settings: Settings
) -> None:
    shop = make_service(embedded_settings.model_copy(update={"api_threads": 1, "api_streams": 1})).caller()
    job = shop.submit()
    path = job["links"]["self"]
    held = shop.follow(f"{path}/events")
    refused = shop.get(f"{path}/events", 503)
    assert refused.json["code"] == "too_many_streams"
    assert int(refused.headers["Retry-After"]) > 0
    assert shop.get(f"{path}?wait=5", 503).json["code"] == "too_many_streams"
    assert shop.get(path).json["id"] == job["id"]
    held.close()
    shop.follow(f"{path}/events").close()


def test_a_long_poll_answers_at_once_what_is_new(service: Service, shop: Caller) -> None:
    job = shop.submit()
    path = job["links"]["self"]
    shop.get(f"{path}?wait=60", headers={"If-None-Match": 'W/"another"'})
    end(service, job["id"])
    # An ended job does not change any more.
    answer = shop.get(f"{path}?wait=60")
    assert answer.json["state"] == "completed"
    shop.get(f"{path}?wait=60", 304, headers={"If-None-Match": answer.headers["ETag"]})


def test_a_long_poll_is_answered_by_a_change_or_by_the_time(service: Service, shop: Caller) -> None:
    job = shop.submit()
    path = job["links"]["self"]
    tag = shop.get(path).headers["ETag"]
    shop.get(f"{path}?wait=1", 304, headers={"If-None-Match": tag})
    answers: list[TestResponse] = []
    waiting = threading.Thread(
        target=lambda: answers.append(service.caller().get(f"{path}?wait=60", headers={"If-None-Match": tag}))
    )
    waiting.start()
    until(lambda: service.stores.watcher.subscribers == 1, "nobody waits")
    end(service, job["id"])
    waiting.join(30)
    [answer] = answers
    # Any of the job's steps to its end is a change.
    assert answer.json["state"] in {"running", "completed"}
    assert answer.headers["ETag"] != tag


def test_time_alone_is_no_change(service: Service, shop: Caller) -> None:
    job = shop.submit(2)
    db = service.stores.database
    image, *_ = list_images(db, service.tenant("shop"), job["id"], limit=1, after=None)
    token, _ = lease_images(db, [image.id], worker="w", lease_s=60)
    finish_images(
        db, token, [Outcome(image_id=image.id, state=ImageState.FAILED, error_code="image_empty")], max_attempts=1
    )
    first = shop.get(job["links"]["self"])
    later = shop.get(job["links"]["self"])
    assert first.headers["ETag"] == later.headers["ETag"]
    shop.get(job["links"]["self"], 304, headers={"If-None-Match": first.headers["ETag"]})


def test_places_in_the_line_are_counted_by_the_time_of_making(service: Service, shop: Caller) -> None:
    first, second = shop.submit(), service.caller("other").submit()
    assert (first["queue_position"], second["queue_position"]) == (1, 2)
    end(service, first["id"])
    assert shop.get(first["links"]["self"]).json["queue_position"] is None
    assert service.caller("other").get(second["links"]["self"]).json["queue_position"] == 1
