"""Rate limits and quotas: told in headers, refused with the time to wait, each key and tenant for itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cleanplate.base.settings import Settings
from storage.ledger.tenants.quotas import set_quota
from storage.records import Quota
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
    # A new minute may have begun in between.
    assert left in ([2, 1, 0], [2, 2, 1], [2, 1, 2])


def test_what_is_too_much_is_refused_with_the_time_to_wait(limited: Service) -> None:
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
