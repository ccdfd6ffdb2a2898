"""Jobs by upload ids: accepted and refused requests, places of faults, lists in pages, cancel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cleanplate.base.options import JobOptions
from cleanplate.base.settings import Settings
from storage.database import Database
from storage.ledger.tenants.uploads import create_uploads
from storage.records import ImageState
from tests.unit.api.calling import Caller, MakeService, Service, mask, picture


def test_a_job_is_accepted_and_can_be_followed(make_service: MakeService, settings: Settings) -> None:
    service = make_service(settings)
    shop = service.caller()
    db, tenant = service.stores.database, service.tenant("shop")
    image, marks = create_uploads(
        db, tenant, [("shirt-0.jpg", "image/jpeg"), ("mask.png", "image/png")], expires_in_s=60
    )
    answer = shop.post("/v1/jobs", 202, json={"images": [{"upload_id": image.id}] * 3, "mask_upload_id": marks.id})
    job = answer.json
    assert answer.headers["Location"] == job["links"]["self"]
    assert (job["state"], job["total"], job["progress"]) == ("queued", 3, 0)
    assert job["counts"] == {"queued": 3, "running": 0, "succeeded": 0, "skipped": 0, "failed": 0, "canceled": 0}
    assert job["options"] == JobOptions().model_dump(mode="json")
    assert shop.get(job["links"]["self"]).json == job
    images = shop.get(job["links"]["images"]).json["data"]
    assert [image["position"] for image in images] == [0, 1, 2]
    assert {image["name"] for image in images} == {"shirt-0.jpg"}
    service.finish(job["id"], state=ImageState.FAILED, error_code="image_truncated", error_detail="It ends early.")
    job = shop.get(job["links"]["self"]).json
    assert (job["progress"], job["counts"]["failed"]) == (1, 3)
    image = shop.get(f"/v1/images/{images[0]['id']}").json
    assert image["error"] == {"code": "image_truncated", "detail": "It ends early."}
    assert image["result_url"] is None


def test_names_options_and_webhook_are_kept(shop: Caller) -> None:
    webhook = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json
    image, marks = shop.upload(("a.jpg", picture()), ("m.png", mask()))
    body = {
        "images": [{"upload_id": image, "name": "../Cafe\u0301.jpg", "mask_upload_id": marks}],
        "options": {"dilation_px": 0, "feather_px": 32, "texture": 0.5},
        "webhook_id": webhook["id"],
    }
    job = shop.post("/v1/jobs", 202, json=body).json
    assert job["options"] == JobOptions(dilation_px=0, feather_px=32, texture=0.5).model_dump(mode="json")
    assert job["webhook_id"] == webhook["id"]
    assert shop.get(job["links"]["images"]).json["data"][0]["name"] == "Café.jpg"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"images": []}, "#/images"),
        ({"images": "upl_1"}, "#/images"),
        ({"images": [{}]}, "#/images/0"),
        ({"images": [{"upload_id": "upl_1", "mask": "upl_2"}]}, "#/images/0/mask"),
        ({"images": [{"upload_id": "upl_1", "name": ".."}]}, "#/images/0/name"),
        ({"images": [{"upload_id": "upl\u0000"}]}, "#/images/0/upload_id"),
        ({"images": [{"upload_id": "u" * 41}]}, "#/images/0/upload_id"),
        ({"options": {"dilation": 3}}, "#/options/dilation"),
        ({"options": {"dilation_px": 65}}, "#/options/dilation_px"),
        ({"options": {"dilation_px": -1}}, "#/options/dilation_px"),
        ({"options": {"dilation_px": 1.5}}, "#/options/dilation_px"),
        ({"options": {"feather_px": float("nan")}}, "#/options/feather_px"),
        ({"options": {"texture": 1.1}}, "#/options/texture"),
        ({"options": None}, "#/options"),
        ({"webhook_id": "whe\n"}, "#/webhook_id"),
        ({"priority": 9}, "#/priority"),
    ],
)
def test_a_wrong_body_is_refused_with_its_place(shop: Caller, change: dict[str, Any], pointer: str) -> None:
    body = {"images": [{"upload_id": "upl_1"}], "mask_upload_id": "upl_2", **change}
    problem = shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=body)
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
    assert shop.get("/v1/jobs").json["data"] == []


def test_unknown_uploads_are_named_with_their_places(service: Service, shop: Caller) -> None:
    known, marks = shop.upload(("a.jpg", picture()), ("m.png", mask()))
    (foreign,) = service.caller("other").upload(("a.jpg", picture()))
    body = {
        "images": [
            {"upload_id": known},
            {"upload_id": "upl_0"},
            {"upload_id": known, "mask_upload_id": foreign},
        ],
        "mask_upload_id": marks,
    }
    problem = shop.problem("POST", "/v1/jobs", 422, "upload_unknown", json=body)
    places = [fault["pointer"] for fault in problem["errors"]]
    assert places == ["#/images/1/upload_id", "#/images/2/mask_upload_id"]
    assert shop.get("/v1/jobs").json["data"] == []


def test_an_expired_upload_is_unknown(service: Service, shop: Caller) -> None:
    (marks,) = shop.upload(("m.png", mask()))
    yesterday = Database.connect(service.settings.sqlalchemy_url, clock=lambda: datetime.now(UTC) - timedelta(hours=24))
    (old,) = create_uploads(yesterday, service.tenant("shop"), [("a.jpg", "image/jpeg")], expires_in_s=3600)
    yesterday.close()
    body = {"images": [{"upload_id": old.id}], "mask_upload_id": marks}
    problem = shop.problem("POST", "/v1/jobs", 422, "upload_unknown", json=body)
    assert [fault["pointer"] for fault in problem["errors"]] == ["#/images/0/upload_id"]


def test_an_unknown_mask_is_an_unknown_upload(shop: Caller) -> None:
    (image,) = shop.upload(("a.jpg", picture()))
    body = {"images": [{"upload_id": image}], "mask_upload_id": "upl_0"}
    problem = shop.problem("POST", "/v1/jobs", 422, "upload_unknown", json=body)
    assert [fault["pointer"] for fault in problem["errors"]] == ["#/mask_upload_id"]


def test_an_image_without_a_mask_is_refused_with_its_index(shop: Caller) -> None:
    image, marks = shop.upload(("a.jpg", picture()), ("m.png", mask()))
    body = {"images": [{"upload_id": image, "mask_upload_id": marks}, {"upload_id": image}]}
    problem = shop.problem("POST", "/v1/jobs", 422, "mask_missing", json=body)
    assert "Image 1 " in problem["detail"]
    assert [fault["pointer"] for fault in problem["errors"]] == ["#/images/1"]


def test_more_images_than_a_job_may_have_are_refused(make_service: MakeService, embedded_settings: Settings) -> None:
    shop = make_service(embedded_settings.model_copy(update={"max_job_images": 2})).caller()
    body = {"images": [{"upload_id": "upl_1"}] * 3, "mask_upload_id": "upl_2"}
    shop.problem("POST", "/v1/jobs", 422, "too_many_images", json=body)


def test_a_foreign_webhook_is_as_unknown_as_none(service: Service, shop: Caller) -> None:
    foreign = service.caller("other").post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json["id"]
    image, marks = shop.upload(("a.jpg", picture()), ("m.png", mask()))
    for webhook in (foreign, "whe_0"):
        body = {"images": [{"upload_id": image}], "mask_upload_id": marks, "webhook_id": webhook}
        problem = shop.problem("POST", "/v1/jobs", 422, "webhook_unknown", json=body)
        assert [fault["pointer"] for fault in problem["errors"]] == ["#/webhook_id"]
    assert shop.get("/v1/jobs").json["data"] == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png", ""])
def test_another_media_type_is_refused(shop: Caller, content_type: str) -> None:
    shop.problem("POST", "/v1/jobs", 415, "media_type_unsupported", data=b"{}", content_type=content_type)


def test_broken_json_is_refused(shop: Caller) -> None:
    shop.problem("POST", "/v1/jobs", 400, "json_invalid", data=b"{'images'", content_type="application/json")


def test_canceling_is_immediate_and_can_be_repeated(shop: Caller) -> None:
    job = shop.submit(2)
    for _ in range(2):
        canceled = shop.post(f"{job['links']['self']}/cancel", 200).json
        assert (canceled["state"], canceled["counts"]["canceled"], canceled["progress"]) == ("canceled", 2, 1)


def test_jobs_are_listed_newest_first_in_pages(shop: Caller) -> None:
    *images, marks = shop.upload(("a.jpg", picture()), ("m.png", mask()))
    body = {"images": [{"upload_id": image} for image in images], "mask_upload_id": marks}
    jobs = [shop.post("/v1/jobs", 202, json=body).json["id"] for _ in range(5)]
    seen, cursor = [], ""
    while True:
        page = shop.get(f"/v1/jobs?limit=2{cursor}").json
        seen.append([job["id"] for job in page["data"]])
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    jobs.reverse()
    assert seen == [jobs[0:2], jobs[2:4], jobs[4:]]


def test_images_are_listed_in_order_in_pages_by_state(service: Service, shop: Caller) -> None:
    job = shop.submit(5)
    first = shop.get(f"{job['links']['images']}?limit=3").json
    rest = shop.get(f"{job['links']['images']}?limit=3&cursor={first['next_cursor']}").json
    assert [image["position"] for image in first["data"] + rest["data"]] == [0, 1, 2, 3, 4]
    assert rest["next_cursor"] is None
    assert shop.get(f"{job['links']['images']}?state=failed").json["data"] == []
    service.succeed(job["id"])
    assert len(shop.get(f"{job['links']['images']}?state=succeeded").json["data"]) == 5


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", "", "1e9"])
def test_a_limit_out_of_range_is_refused(shop: Caller, limit: str) -> None:
    problem = shop.problem("GET", f"/v1/jobs?limit={limit}", 422, "validation_failed")
    assert problem["errors"][0]["parameter"] == "limit"


@pytest.mark.parametrize("query", ["page=2", "states=failed"])
def test_an_unknown_parameter_is_refused(shop: Caller, query: str) -> None:
    problem = shop.problem("GET", f"/v1/jobs?{query}", 422, "validation_failed")
    assert problem["errors"][0]["parameter"] == query.partition("=")[0]


@pytest.mark.parametrize("cursor", ["x", "", "%00", "am9iOg", "aW1hZ2U6LTE", "aW1hZ2U6OTk5OTk5OTk5OTk5", "é"])
def test_a_foreign_cursor_is_refused(shop: Caller, cursor: str) -> None:
    job = shop.submit()
    shop.problem("GET", f"/v1/jobs?cursor={cursor}", 422, "cursor_invalid")
    shop.problem("GET", f"{job['links']['images']}?cursor={cursor}", 422, "cursor_invalid")


@pytest.mark.parametrize("path", ["/v1/jobs/job_0", "/v1/jobs/job_0/images", "/v1/jobs/a%00b", "/v1/jobs/" + "j" * 99])
def test_an_unknown_job_is_not_found(shop: Caller, path: str) -> None:
    shop.problem("GET", path, 404, "not_found")
