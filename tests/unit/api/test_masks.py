"""Masks over the API: every kind, of a job and of an image, is returned as it was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.answers import Job
from storage.ledger.images.leases import lease_images
from tests.unit.api.calling import Caller, Service, mask, picture
from tests.unit.api.test_inline_jobs import part, white
from tests.unit.api.test_templates import auto_job, estimated, made_by_a_worker

PICTURE = "https://shop.example/a.jpg"


@pytest.fixture
def names(service: Service, shop: Caller) -> dict[str, str]:
    """An upload and a template that masks may name."""
    (upload,) = shop.upload(("m.png", mask()))
    template = estimated(shop)["id"]
    made_by_a_worker(service, template)
    shop.post(f"/v1/templates/{template}/approve", 200)
    return {"UPLOAD": upload, "TEMPLATE": template}


def filled(given: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    text = json.dumps(given)
    for name, value in names.items():
        text = text.replace(name, value)
    document: dict[str, Any] = json.loads(text)
    return document


OF_IMAGES: list[dict[str, Any]] = [
    {"upload_id": "UPLOAD"},
    {"upload_id": "UPLOAD", "anchor": "bottom_right", "scale": "width"},
    {"upload_id": "UPLOAD", "anchor": None, "scale": "none"},
    {"boxes": [[0.72, 0.9, 0.25, 0.07]], "units": "relative"},
    {"boxes": [[1400, 1100, 180, 60]], "size": [1600, 1200], "anchor": "bottom_right", "scale": "shorter"},
    {"template": "TEMPLATE"},
    {"templates": ["TEMPLATE"]},
    {"templates": ["TEMPLATE", "TEMPLATE"]},
    {"mode": "text", "texts": ["Doe Shirts"], "areas": ["bottom_right", [0.25, 0.4, 0.5, 0.2]]},
    {"mode": "text", "any_text": True},
]
OF_JOBS: list[dict[str, Any]] = [
    *OF_IMAGES,
    {"mode": "auto"},
    {"mode": "auto", "approve": "auto", "min_confidence": 0.9, "force": True},
]


@pytest.mark.parametrize("given", OF_JOBS, ids=json.dumps)
def test_the_mask_of_a_job_is_answered_as_it_was_sent(
    shop: Caller, names: dict[str, str], given: dict[str, Any]
) -> None:
    sent = filled(given, names)
    job = shop.post("/v1/jobs", 202, json={"images": [{"url": PICTURE}], "mask": sent}).json
    assert job["mask"] == sent
    assert shop.get(job["links"]["self"]).json["mask"] == sent
    assert shop.get(job["links"]["images"]).json["data"][0]["mask"] is None


@pytest.mark.parametrize("given", OF_IMAGES, ids=json.dumps)
def test_the_mask_of_an_image_is_answered_as_it_was_sent(
    shop: Caller, names: dict[str, str], given: dict[str, Any]
) -> None:
    sent = filled(given, names)
    image = {"url": PICTURE, "mask": sent, "options": {"dilation_px": None, "output": "png"}}
    job = shop.post("/v1/jobs", 202, json={"images": [image]}).json
    assert job["mask"] is None
    (answered,) = shop.get(job["links"]["images"]).json["data"]
    assert (answered["mask"], answered["options"]) == (sent, {"dilation_px": None, "output": "png"})


def test_the_short_form_is_answered_as_a_mask(shop: Caller, names: dict[str, str]) -> None:
    image = {"url": PICTURE, "mask_upload_id": names["UPLOAD"]}
    job = shop.post("/v1/jobs", 202, json={"images": [image], "mask_upload_id": names["UPLOAD"]}).json
    (answered,) = shop.get(job["links"]["images"]).json["data"]
    assert job["mask"] == answered["mask"] == {"upload_id": names["UPLOAD"]}


def test_the_files_of_a_form_are_answered_as_their_uploads(service: Service, shop: Caller) -> None:
    placed = {"images": part(picture()), "mask": part(mask(), "m.png"), "mask_place": '{"anchor": "center"}'}
    job = shop.post("/v1/jobs", 202, data=placed).json
    (image,) = shop.get(job["links"]["images"]).json["data"]
    _, (leased,) = lease_images(service.stores.database, [image["id"]], worker="test", lease_s=60)
    assert job["mask"] == {"upload_id": leased.mask_key.rpartition("/")[2], "anchor": "center"}
    own = shop.post("/v1/jobs", 202, data={"images": part(picture()), "masks": part(mask(), "m.png")}).json
    (image,) = shop.get(own["links"]["images"]).json["data"]
    _, (leased,) = lease_images(service.stores.database, [image["id"]], worker="test", lease_s=60)
    assert (own["mask"], image["mask"]) == (None, {"upload_id": leased.mask_key.rpartition("/")[2]})


def test_uploaded_masks_that_mark_nearly_all_are_told_when_their_job_is_submitted(shop: Caller) -> None:
    inverted, good = shop.upload(("white.png", white()), ("m.png", mask()))
    shared = {"images": [{"url": PICTURE}, {"url": PICTURE}], "mask_upload_id": inverted}
    for dry_run in (True, False):
        body = {**shared, "dry_run": dry_run}
        problem = shop.problem("POST", "/v1/jobs", 422, "mask_covers_nearly_all", json=body)
        assert problem["errors"][0]["pointer"] == "#/mask"
    rows = "\n".join(json.dumps({"url": PICTURE, "mask_upload_id": upload}) for upload in (inverted, inverted))
    assert shop.submit_manifest(rows, 422)["code"] == "mask_covers_nearly_all"
    own = [{"url": PICTURE, "mask": {"upload_id": inverted}, "options": {"max_marked_share": 1}}, {"url": PICTURE}]
    for job in (
        {**shared, "options": {"mask_inverted": True}},
        {"images": own, "mask_upload_id": good},
        {"images": [{"url": PICTURE, "mask_upload_id": inverted}, {"url": PICTURE}], "mask_upload_id": good},
        {**shared, "images": [{"url": PICTURE}]},
        {"images": shared["images"], "mask": {"upload_id": inverted, "anchor": "center"}},
    ):
        shop.post("/v1/jobs", 202, json=job)


def test_a_job_need_not_wait_for_its_masks(shop: Caller) -> None:
    wanted = {"files": [{"filename": "m.png", "content_type": "image/png"}]}
    (upload,) = shop.post("/v1/uploads", 201, json=wanted).json["uploads"]
    body = {"images": [{"url": PICTURE}, {"url": PICTURE}], "mask_upload_id": upload["id"]}
    shop.post("/v1/jobs", 202, json=body)


def test_an_approved_job_answers_the_templates_that_it_began_with(service: Service, shop: Caller) -> None:
    job = auto_job(shop)
    (template,) = shop.get(f"/v1/templates?job_id={job['id']}").json["data"]
    made_by_a_worker(service, template["id"])
    begun = shop.post(f"/v1/jobs/{job['id']}/approve", 200, json={}).json
    assert begun["mask"] == {"mode": "auto", "templates": [template["id"]]}
    again = {"images": [{"url": PICTURE}], "mask": begun["mask"]}
    problem = shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=again)
    assert "answered, not sent" in problem["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, ""),
        ({"anchor": "top"}, ""),
        ({"upload_id": "upl_1", "boxes": [[1, 2, 3, 4]]}, ""),
        ({"template": "tpl_1", "templates": ["tpl_1"]}, ""),
        ({"mode": "find"}, ""),
        ({"mode": "auto", "boxes": [[1, 2, 3, 4]]}, "/boxes"),
        ({"mode": "text", "any_text": True, "upload_id": "upl_1"}, "/upload_id"),
        ({"template": "tpl_1", "anchor": "top"}, "/anchor"),
        ({"upload_id": "upl_1", "units": "relative"}, "/units"),
        ({"upload_id": "upl_1", "approve": "auto"}, "/approve"),
        ({"boxes": [[1, 2, 3, 0]]}, "/boxes/0/3"),
        ({"mode": "text", "areas": ["nowhere"]}, "/areas/0"),
        ({"mode": "text", "areas": [[0, 0, 2, 1]]}, "/areas/0/2"),
    ],
    ids=json.dumps,
)
def test_a_mask_of_no_kind_or_two_is_refused_at_its_place(shop: Caller, given: dict[str, Any], place: str) -> None:
    problem = shop.problem(
        "POST", "/v1/jobs", 422, "validation_failed", json={"images": [{"url": PICTURE}], "mask": given}
    )
    assert problem["errors"][0]["pointer"] == f"#/mask{place}"
    row = shop.submit_manifest(json.dumps({"url": PICTURE, "mask": given}), 422)["errors"][0]
    if given.get("mode") != "auto":
        assert row["detail"].startswith(f"mask{place}: ")


def test_the_schema_tells_the_kinds_apart(service: Service) -> None:
    schemas = service.document["components"]["schemas"]
    kinds = ["FileMask", "BoxesMask", "TemplateMask", "TemplatesMask", "TextMask"]
    for name, of_job in (("Job", True), ("NewJob", True), ("Image", False), ("NewImage", False)):
        (union, null) = schemas[name]["properties"]["mask"]["anyOf"]
        expected = [*kinds, "AutoMask"] if of_job else kinds
        assert [member["$ref"].rpartition("/")[2] for member in union["oneOf"]] == expected, name
        assert null == {"type": "null"}
    for kind in (*kinds, "AutoMask"):
        assert schemas[kind]["additionalProperties"] is False
    assert schemas["AutoMask"]["properties"]["templates"]["readOnly"] is True
    assert schemas["Image"]["properties"]["options"]["anyOf"][0]["$ref"].endswith("/ImageOptions")


def test_an_answer_that_an_earlier_version_kept_is_still_read(shop: Caller) -> None:
    answer = shop.post("/v1/jobs", 202, json={"images": [{"url": PICTURE}], "mask": {"boxes": [[1, 2, 3, 4]]}}).json
    assert Job.model_validate({**answer, "mask": {"anchor": "top"}}).mask is None
    kept = {"mode": "auto", "approve": "person", "min_confidence": 0.8, "force": False, "templates": ["tpl_1"]}
    assert Job.model_validate({**answer, "mask": kept}).model_dump(mode="json")["mask"] == kept
