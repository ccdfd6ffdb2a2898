"""Text marks over the API: valid and invalid masks, by every way of submission, and a service without text marks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api import text_marks
from cleanplate.base.settings import Settings
from cleanplate.errors import TextMarksMissing
from storage.ledger.images.leases import lease_images
from tests.unit.api.calling import RIGHTS, Caller, MakeService, Service, mask, picture
from tests.unit.api.test_inline_jobs import part
from workers.machine import text_marks as machine_text_marks

TEXT = {"mode": "text", "texts": ["Doe Shirts"], "areas": ["bottom_right", [0.25, 0.4, 0.5, 0.2]]}


def job_of(shop: Caller, **fields: Any) -> dict[str, Any]:
    (upload,) = shop.upload(("a.jpg", picture()))
    return {"images": [{"upload_id": upload}], **RIGHTS, **fields}


def kept(service: Service, shop: Caller, job_id: str) -> list[Any]:
    """The masks that a worker gets."""
    db = service.stores.database
    ids = [image["id"] for image in shop.get(f"/v1/jobs/{job_id}/images", 200).json["data"]]
    _, leased = lease_images(db, ids, worker="w", lease_s=60)
    return [image.mask.document() for image in leased]


def test_a_job_has_text_marks_found(service: Service, shop: Caller) -> None:
    job = shop.post("/v1/jobs", 202, json=job_of(shop, mask=TEXT)).json
    assert (job["state"], job["mask"]) == ("queued", TEXT)
    assert kept(service, shop, job["id"]) == [TEXT]


def test_a_single_image_has_text_marks_found(service: Service, shop: Caller) -> None:
    body = job_of(shop)
    body["images"][0]["mask"] = {"mode": "text", "any_text": True}
    job = shop.post("/v1/jobs", 202, json=body).json
    assert kept(service, shop, job["id"]) == [{"mode": "text", "any_text": True}]


def test_a_form_has_text_marks_found(service: Service, shop: Caller) -> None:
    place = {"mode": "text", "areas": ["top"]}
    job = shop.post("/v1/jobs", 202, data={"images": part(picture()), "mask_place": json.dumps(place), **RIGHTS}).json
    assert kept(service, shop, job["id"]) == [place]
    both = {"images": part(picture()), "mask": part(mask()), "mask_place": json.dumps(place), **RIGHTS}
    shop.problem("POST", "/v1/jobs", 422, "validation_failed", data=both)


def test_a_row_of_a_manifest_has_text_marks_found(service: Service, shop: Caller) -> None:
    rows = 'url,mask\nhttps://shop.example/a.jpg,"{""mode"": ""text"", ""texts"": [""Doe""]}"\n'
    job = shop.submit_manifest(rows)
    assert kept(service, shop, job["id"]) == [{"mode": "text", "texts": ["Doe"]}]


@pytest.mark.parametrize(
    "said",
    [
        {"mode": "text"},
        {"mode": "text", "any_text": True, "texts": ["Doe"]},
        {"mode": "text", "texts": []},
        {"mode": "text", "texts": ["©"]},
        {"mode": "text", "texts": ["!!"]},
        {"mode": "text", "areas": ["middle"]},
        {"mode": "text", "areas": [[0.5, 0.5, 0, 0.1]]},
        {"mode": "text", "areas": [[0.5, 0.5, 1.5, 0.1]]},
        {"mode": "text", "texts": ["Doe"], "boxes": [[0, 0, 9, 9]]},
        {"mode": "text", "texts": ["Doe"], "template": "tpl_1"},
        {"texts": ["Doe"]},
        {"mode": "auto", "texts": ["Doe"]},
        {"boxes": [[0, 0, 9, 9]], "any_text": True},
    ],
)
@pytest.mark.parametrize("where", ["job", "image"])
def test_it_must_be_said_which_text_is_the_mark(shop: Caller, said: dict[str, Any], where: str) -> None:
    body = job_of(shop, **({"mask": said} if where == "job" else {}))
    if where == "image":
        body["images"][0]["mask"] = said
    shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=body)


@pytest.mark.parametrize("where", ["job", "image", "form", "row"])
def test_a_service_that_finds_no_text_says_so_at_submission(
    make_service: MakeService, embedded_settings: Settings, where: str
) -> None:
    shop = make_service(embedded_settings.model_copy(update={"text_marks": "off"})).caller()
    if where == "form":
        form = {"images": part(picture()), "mask_place": json.dumps({"mode": "text", "areas": ["top"]}), **RIGHTS}
        shop.problem("POST", "/v1/jobs", 422, "text_marks_missing", data=form)
        return
    if where == "row":
        rows = 'url,mask\nhttps://shop.example/a.jpg,"{""mode"": ""text"", ""any_text"": true}"\n'
        (fault,) = shop.submit_manifest(rows, 422)["errors"]
        assert fault["code"] == "text_marks_missing"
        return
    body = job_of(shop, **({"mask": TEXT} if where == "job" else {}))
    if where == "image":
        body["images"][0]["mask"] = TEXT
    problem = shop.problem("POST", "/v1/jobs", 422, "text_marks_missing", json=body)
    assert problem["errors"][0]["pointer"].endswith("mask/mode")
    assert shop.get("/v1/jobs").json["data"] == []


def test_the_word_of_an_operator_stands_for_what_is_installed(
    make_service: MakeService, embedded_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (text_marks, machine_text_marks):
        monkeypatch.setattr(module, "missing", lambda: ["rapidocr"])
    shop_without_text = make_service(embedded_settings).caller()
    shop_without_text.problem("POST", "/v1/jobs", 422, "text_marks_missing", json=job_of(shop_without_text, mask=TEXT))
    promised = embedded_settings.model_copy(update={"text_marks": "on"})
    elsewhere = make_service(promised).caller()
    elsewhere.post("/v1/jobs", 202, json=job_of(elsewhere, mask=TEXT))
    with pytest.raises(TextMarksMissing, match=r"cleanplate\[text\]"):
        machine_text_marks.require_text_marks(promised)
    machine_text_marks.require_text_marks(embedded_settings)
