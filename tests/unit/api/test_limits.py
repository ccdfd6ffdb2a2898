"""Rate limits and quotas: headers, refusals with the time to wait, and separate limits for each key and tenant."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.ledger.tenants.quotas import set_quota
from storage.ledger.tenants.sessions import begin_session
from storage.ledger.tenants.tenants import create_key
from storage.records import Quota
from tests.server import start_server
from tests.servers import RedisServer
from tests.unit.api.calling import Caller, MakeService, Service, picture

LIMIT = 3


@pytest.fixture
def limited(make_service: MakeService, settings: Settings) -> Iterator[Service]:
    yield make_service(settings.model_copy(update={"rate_limit_per_minute": LIMIT}))


def test_each_answer_says_what_is_left(limited: Service) -> None:
    shop = limited.caller()
    left = []
    for _ in range(LIMIT):
        answer = shop.get("/v1/jobs")
        assert answer.headers["X-RateLimit-Limit"] == str(LIMIT)
        assert int(answer.headers["X-RateLimit-Reset"]) > 0
        left.append(int(answer.headers["X-RateLimit-Remaining"]))
    # A new minute may have begun meanwhile.
    assert left in ([2, 1, 0], [2, 2, 1], [2, 1, 2])


def test_requests_over_the_limit_are_refused_with_the_time_to_wait(limited: Service) -> None:
    shop = limited.caller()
    # Two minutes' worth: one of them is over, whenever the minute ends.
    answers = [shop.any("GET", "/v1/jobs") for _ in range(2 * LIMIT + 1)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[0].json["code"] == "rate_limited"
    assert 0 < int(refused[0].headers["Retry-After"]) <= 60
    assert {answer.status_code for answer in answers[:LIMIT]} == {200}


def test_keys_have_limits_of_their_own_and_open_routes_none(limited: Service) -> None:
    spent, other = limited.caller(), limited.caller()
    for _ in range(2 * LIMIT + 1):
        spent.any("GET", "/v1/jobs")
    other.get("/v1/jobs")
    for _ in range(2 * LIMIT + 1):
        limited.stranger().get("/healthz")


def test_a_key_has_one_limit_however_the_header_is_written(limited: Service) -> None:
    _, secret = create_key(limited.stores.database, limited.tenant("shop"), "limited")
    # Two minutes' worth: one of them is over, whenever the minute ends.
    written = [f"Bearer {secret}", f"bearer {secret}", f"BEARER  {secret}"] * (2 * LIMIT)
    answers = [limited.stranger().any("GET", "/v1/jobs", headers={"Authorization": each}) for each in written]
    assert sum(answer.status_code == 200 for answer in answers) <= 2 * LIMIT


def test_a_session_counts_with_its_key(limited: Service) -> None:
    db = limited.stores.database
    key, secret = create_key(db, limited.tenant("shop"), "limited")
    by_key = limited.stranger(secret)
    for _ in range(2 * LIMIT + 1):
        by_key.any("GET", "/v1/jobs")
    browser = limited.app.test_client()
    with browser.session_transaction() as cookie:
        cookie["session"] = begin_session(db, key.id, lifetime_s=60)
    answers = [browser.get("/v1/jobs") for _ in range(LIMIT + 1)]
    assert 429 in [answer.status_code for answer in answers]


def test_keys_that_are_made_up_share_the_limit_of_their_address(limited: Service) -> None:
    answers = [limited.stranger(f"cp_{number}").any("GET", "/v1/jobs") for number in range(2 * LIMIT + 1)]
    assert {answer.status_code for answer in answers} == {401, 429}
    limited.caller().get("/v1/jobs")


def test_only_who_is_to_wait_is_told_how_long(limited: Service) -> None:
    shop = limited.caller()
    assert "Retry-After" not in shop.get("/v1/jobs").headers
    assert "Retry-After" not in shop.get("/v1/jobs/job_1", 404).headers
    assert "Retry-After" not in limited.stranger().get("/healthz").headers


def test_an_outage_of_the_ledger_does_not_wait_for_the_minutes_end(make_service: MakeService, tmp_path: Path) -> None:
    away = f"sqlite:///{tmp_path}/nowhere/ledger.sqlite3"
    service = make_service(Settings(home=tmp_path, database_url=SecretStr(away), rate_limit_per_minute=LIMIT))
    refused = service.stranger("cp_x").any("GET", "/v1/jobs")
    assert (refused.status_code, refused.json["code"]) == (503, "ledger_unavailable")
    assert refused.headers["Retry-After"] == "5"


def test_a_frozen_redis_holds_up_no_request(make_service: MakeService, embedded_settings: Settings) -> None:
    redis = start_server(RedisServer)
    try:
        broker = SecretStr(redis.new_database())
        service = make_service(
            embedded_settings.model_copy(update={"broker_url": broker, "rate_limit_per_minute": 1000})
        )
        shop = service.caller()
        assert shop.get("/v1/jobs").headers["X-RateLimit-Remaining"] == "999"
        os.kill(redis.pid, signal.SIGSTOP)
        callers = [service.caller() for _ in range(20)]
        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(caller.any, "GET", path) for caller in callers for path in ("/v1/jobs", "/healthz")]
            assert {each.result().status_code for each in asked} == {200}
        # In the memory of this process, and told.
        assert "X-RateLimit-Remaining" in shop.get("/v1/jobs").headers
    finally:
        os.kill(redis.pid, signal.SIGCONT)
        redis.close()


def test_without_a_key_the_address_is_limited(limited: Service) -> None:
    statuses = [limited.stranger().any("GET", "/v1/jobs").status_code for _ in range(2 * LIMIT + 1)]
    assert statuses[0] == 401
    assert 429 in statuses


def test_no_limit_at_all_can_be_set(make_service: MakeService, embedded_settings: Settings) -> None:
    free = make_service(embedded_settings.model_copy(update={"rate_limit_per_minute": 0})).caller()
    assert "X-RateLimit-Limit" not in free.get("/v1/jobs").headers


def test_a_quota_is_refused_with_the_time_to_wait(service: Service, shop: Caller) -> None:
    tenant = service.tenant("shop")
    set_quota(service.stores.database, tenant, Quota(images_per_day=1))
    shop.submit(1)
    images = shop.upload(("a.png", picture()), ("m.png", picture()))
    answer = shop(
        "POST", "/v1/jobs", status=429, json={"images": [{"upload_id": images[0]}], "mask_upload_id": images[1]}
    )
    assert answer.json["code"] == "quota_exceeded"
    assert 0 < int(answer.headers["Retry-After"]) <= 24 * 3600


def test_counted_bytes_must_be_announced(service: Service, shop: Caller) -> None:
    set_quota(service.stores.database, service.tenant("shop"), Quota(bytes_per_day=100))
    file = {"filename": "a.png", "content_type": "image/png"}
    shop.problem("POST", "/v1/uploads", 422, "size_missing", json={"files": [file]})
    shop.post("/v1/uploads", 201, json={"files": [{**file, "size": 100}]})
    shop.problem("POST", "/v1/uploads", 429, "quota_exceeded", json={"files": [{**file, "size": 1}]})


def test_a_link_takes_the_announced_size_only(shop: Caller) -> None:
    data = picture("PNG")
    wanted = {"filename": "a.png", "content_type": "image/png", "size": len(data)}
    upload = shop.post("/v1/uploads", 201, json={"files": [wanted]}).json["uploads"][0]
    assert upload["headers"]["Content-Length"] == str(len(data))
    kind = {"Content-Type": "image/png"}
    for other in (data + b"x", data[:-1], b""):
        shop.problem("PUT", upload["url"], 422, "size_mismatch", data=other, headers=kind)
    shop("PUT", upload["url"], status=204, data=data, headers=kind)


def test_a_size_over_the_limit_is_refused_at_once(service: Service, shop: Caller) -> None:
    wanted = {"filename": "a.png", "content_type": "image/png", "size": service.settings.max_image_bytes + 1}
    problem = shop.problem("POST", "/v1/uploads", 413, "image_too_large", json={"files": [wanted]})
    assert problem["errors"][0]["pointer"] == "#/files/0/size"


def test_refused_attempts_to_sign_in_are_limited_by_address(
    make_service: MakeService, embedded_settings: Settings
) -> None:
    service = make_service(embedded_settings.model_copy(update={"proxies": 1}))
    client = service.app.test_client()

    def sign_in(address: str) -> int:
        return client.post("/login", data={"key": "x"}, headers={"X-Forwarded-For": address}).status_code

    assert [sign_in("203.0.113.1") for _ in range(21)] == [403] * 20 + [429]
    assert sign_in("203.0.113.2") == 403
    # What a client adds before its proxy's own entry changes nothing.
    assert sign_in("203.0.113.9, 203.0.113.1") == 429


def test_an_address_that_no_proxy_vouches_for_is_ignored(
    make_service: MakeService, embedded_settings: Settings
) -> None:
    client = make_service(embedded_settings).app.test_client()
    statuses = [
        client.post("/login", data={"key": "x"}, headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code
        for n in range(21)
    ]
    assert statuses == [403] * 20 + [429]
