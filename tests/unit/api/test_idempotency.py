"""The header Idempotency-Key, on both ways to submit a job, on both ways to run the service."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from cleanplate.base.settings import Settings
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
