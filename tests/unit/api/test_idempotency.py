"""The header Idempotency-Key, on both ways to submit a job, on both ways to run the service."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from pydantic import SecretStr

from api.openapi import MADE_ONCE
from cleanplate.base.settings import Settings
from storage.records import ImageState
from tests.unit.api.calling import Caller, MakeService, Service, mask, picture

KEY = {"Idempotency-Key": "friday-evening"}


def body(shop: Caller, **fields: Any) -> dict[str, Any]:
    image, marks = shop.upload(("a.png", picture("PNG")), ("mask.png", mask()))
    return {"images": [{"upload_id": image}], "mask_upload_id": marks, **fields}


def form(color: str = "teal", **fields: Any) -> dict[str, Any]:
    return {"images": [(io.BytesIO(picture(color=color)), "a.jpg")], "mask": (io.BytesIO(mask()), "m.png"), **fields}


def jobs(shop: Caller) -> list[str]:
    return [job["id"] for job in shop.get("/v1/jobs").json["data"]]


def test_a_repeat_is_answered_again(make_service: MakeService, settings: Settings) -> None:
    shop = make_service(settings).caller()
    first = shop.post("/v1/jobs", 202, data=form(), headers=KEY)
    again = shop.post("/v1/jobs", 202, data=form(), headers=KEY)
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    assert jobs(shop) == [first.json["id"]]


def test_the_answer_is_the_first_one_also_when_the_job_went_on(service: Service, shop: Caller) -> None:
    sent = body(shop)
    first = shop.post("/v1/jobs", 202, json=sent, headers=KEY).json
    shop.post(f"/v1/jobs/{first['id']}/cancel", 200)
    assert shop.post("/v1/jobs", 202, json=sent, headers=KEY).json == first


def test_without_a_key_each_request_makes_a_job(shop: Caller) -> None:
    sent = body(shop)
    for _ in range(2):
        shop.post("/v1/jobs", 202, json=sent)
    assert len(jobs(shop)) == 2


def test_another_body_is_refused(shop: Caller) -> None:
    sent = body(shop)
    shop.post("/v1/jobs", 202, json=sent, headers=KEY)
    for other in (
        {"json": {**sent, "options": {"dilation_px": 9}}},
        {"data": form()},
        {"data": form(options="{}")},
    ):
        shop.problem("POST", "/v1/jobs", 422, "idempotency_key_reused", headers=KEY, **other)
    assert len(jobs(shop)) == 1


@pytest.mark.parametrize("change", [{"color": "red"}, {"options": '{"dilation_px": 9}'}, {"attested_by": "Somebody"}])
def test_another_form_is_refused(shop: Caller, change: dict[str, Any]) -> None:
    shop.post("/v1/jobs", 202, data=form(), headers=KEY)
    shop.problem("POST", "/v1/jobs", 422, "idempotency_key_reused", headers=KEY, data=form(**change))


def test_a_refused_request_may_be_corrected_under_its_key(shop: Caller) -> None:
    sent = body(shop)
    shop.problem("POST", "/v1/jobs", 422, "rights_missing", headers=KEY, json={**sent, "attested_by": None})
    shop.post("/v1/jobs", 202, json=sent, headers=KEY)


def test_a_tenants_key_says_nothing_to_another(service: Service, shop: Caller) -> None:
    shop.post("/v1/jobs", 202, data=form(), headers=KEY)
    other = service.caller("other")
    assert other.post("/v1/jobs", 202, data=form(), headers=KEY).json["id"] not in jobs(shop)


@pytest.mark.parametrize("key", ["", " ", "two words", "k" * 256, "schl\u00fcssel"])
def test_invalid_idempotency_keys_are_refused(shop: Caller, key: str) -> None:
    shop.problem("POST", "/v1/jobs", 422, "idempotency_key_invalid", headers={"Idempotency-Key": key}, data=form())
    assert jobs(shop) == []


def test_keys_are_looked_at_after_the_right_to_submit(service: Service) -> None:
    service.stranger().problem("POST", "/v1/jobs", 401, "key_missing", headers=KEY, data=json.dumps({}))


def test_the_same_json_in_another_order_is_the_same_request(shop: Caller) -> None:
    sent = body(shop, name="spring", metadata={"a": "1", "b": "2"})
    turned = {name: sent[name] for name in reversed(sent)} | {"metadata": {"b": "2", "a": "1"}}
    headers = {"Idempotency-Key": "order-1", "Content-Type": "application/json"}
    rights = {"rights_basis": "owner", "attested_by": "Jo Doe", "rights_reference": "own photographs"}
    first = shop.post("/v1/jobs", 202, data=json.dumps({**sent, **rights}), headers=headers)
    again = shop.post("/v1/jobs", 202, data=json.dumps({**rights, **turned}, indent=2), headers=headers)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json == first.json


@pytest.mark.parametrize("path", ["/v1/uploads", "/v1/webhooks", "/v1/templates"])
def test_every_request_that_makes_something_is_done_once(shop: Caller, path: str) -> None:
    file = {"filename": "a.jpg", "content_type": "image/jpeg", "size": 9}
    large = {"filename": "b.tif", "content_type": "image/tiff", "size": 12_000_000, "method": "multipart"}
    (mask_id,) = shop.upload(("mask.png", mask()))
    sent: dict[str, Any] = {
        "/v1/uploads": {"files": [file, large]},
        "/v1/webhooks": {"url": "https://shop.example/hook"},
        "/v1/templates": {"name": "spring", "mask": {"upload_id": mask_id, "anchor": "center"}},
    }[path]
    status = 202 if path == "/v1/templates" else 201
    first = shop.post(path, status, json=sent, headers={"Idempotency-Key": "k"})
    again = shop.post(path, status, json=sent, headers={"Idempotency-Key": "k"})
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    if path == "/v1/uploads":
        ids = [[upload["id"] for upload in answer.json["uploads"]] for answer in (first, again)]
        assert ids[0] == ids[1]
        assert len(again.json["uploads"][1]["parts"]) == len(first.json["uploads"][1]["parts"])
    else:
        assert again.json == first.json
        assert len(shop.get(path).json["data"]) == 1
    sent["files" if path == "/v1/uploads" else "url" if path == "/v1/webhooks" else "name"] = (
        [file] if path == "/v1/uploads" else "https://shop.example/other" if path == "/v1/webhooks" else "autumn"
    )
    shop.problem("POST", path, 422, "idempotency_key_reused", json=sent, headers={"Idempotency-Key": "k"})
    other = shop.post(path, status, json=sent, headers={"Idempotency-Key": "l"})
    assert other.json != first.json


def test_every_post_takes_a_key_or_changes_nothing_when_it_is_repeated(service: Service) -> None:
    posts = {path: methods["post"] for path, methods in service.document["paths"].items() if "post" in methods}
    keyed = {
        path
        for path, operation in posts.items()
        if any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"])
    }
    assert keyed == set(MADE_ONCE)
    # A signed link writes the same bytes to the same place.
    for path in posts.keys() - keyed - {"/blobs/{token}"}:
        assert "Repeating it changes nothing." in posts[path]["description"], path


def once(shop: Caller, path: str, status: int, key: str, **rest: Any) -> tuple[Any, bool]:
    """The answer's JSON, and whether an earlier try made it."""
    answer = shop.post(path, status, headers={"Idempotency-Key": key}, **rest)
    return answer.json, answer.headers.get("Idempotency-Replayed") == "true"


def test_a_webhooks_secret_posts_and_pings_are_made_once(make_service: MakeService, settings: Settings) -> None:
    shop = make_service(settings).caller()
    hook = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json
    path = f"/v1/webhooks/{hook['id']}"
    first, again = (once(shop, f"{path}/rotate?keep_s=60", 200, "a") for _ in range(2))
    assert (first[0]["secret"], [first[1], again[1]]) == (again[0]["secret"], [False, True])
    assert first[0]["secret"] != hook["secret"]
    shop.problem("POST", f"{path}/rotate?keep_s=0", 422, "idempotency_key_reused", headers={"Idempotency-Key": "a"})
    assert once(shop, f"{path}/rotate?keep_s=60", 200, "b")[0]["secret"] != first[0]["secret"]

    pings = [once(shop, f"{path}/ping", 202, key) for key in ("c", "c", "d")]
    assert [replayed for _, replayed in pings] == [False, True, False]
    assert pings[0][0]["id"] == pings[1][0]["id"] != pings[2][0]["id"]
    assert len(shop.get(f"{path}/deliveries").json["data"]) == 2

    again_path = f"{path}/deliveries/{pings[0][0]['id']}/redeliver"
    assert [once(shop, again_path, 202, "e")[1] for _ in range(2)] == [False, True]
    since = {"since": "2026-05-01T00:00:00Z"}
    recovered = [once(shop, f"{path}/recover", 202, "f", json=since) for _ in range(2)]
    assert recovered == [({"queued": 0, "more": False}, False), ({"queued": 0, "more": False}, True)]


def test_failed_images_are_tried_again_once(
    make_service: MakeService, embedded_settings: Settings, database_url: str
) -> None:
    service = make_service(embedded_settings.model_copy(update={"database_url": SecretStr(database_url)}))
    shop = service.caller()
    job = shop.submit(1)
    failed = {"state": ImageState.FAILED, "error_code": "image_truncated", "error_detail": "Short."}
    service.finish(job["id"], **failed)
    retried, replayed = once(shop, f"/v1/jobs/{job['id']}/retry", 200, "k")
    assert (retried["counts"]["queued"], replayed) == (1, False)
    service.finish(job["id"], **failed)
    late, replayed = once(shop, f"/v1/jobs/{job['id']}/retry", 200, "k")
    assert (late["counts"]["failed"], replayed) == (1, True)
