"""Uploads: names are sanitized, and links work only within their limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cleanplate.base.settings import Settings
from tests import patient
from tests.unit.api.calling import Caller, MakeService, Service, mask, picture


def test_names_are_cleaned(shop: Caller) -> None:
    files = [{"filename": "C:\\photos\\..\\shirt\u0000-1.jpg", "content_type": "image/jpeg"}]
    upload = shop.post("/v1/uploads", 201, json={"files": files}).json["uploads"][0]
    assert upload["filename"] == "shirt-1.jpg"
    assert upload["headers"] == {"Content-Type": "image/jpeg"}
    assert upload["method"] == "PUT"


def test_uploads_come_in_the_order_asked_for(shop: Caller) -> None:
    files = [{"filename": f"{n}.png", "content_type": "image/png"} for n in range(1000)]
    uploads = shop.post("/v1/uploads", 201, json={"files": files}).json["uploads"]
    assert [upload["filename"] for upload in uploads] == [file["filename"] for file in files]
    assert len({upload["id"] for upload in uploads}) == 1000


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/files"),
        ([], "#"),
        (None, "#/files"),
        ({"files": []}, "#/files"),
        ({"files": [{"filename": "a.png", "content_type": "image/png"}] * 1001}, "#/files"),
        ({"files": [{"filename": "", "content_type": "image/png"}]}, "#/files/0/filename"),
        ({"files": [{"filename": "..", "content_type": "image/png"}]}, "#/files/0/filename"),
        ({"files": [{"filename": "a/", "content_type": "image/png"}]}, "#/files/0/filename"),
        ({"files": [{"filename": "a\ud800", "content_type": "image/png"}]}, "#/files/0/filename"),
        ({"files": [{"filename": 7, "content_type": "image/png"}]}, "#/files/0/filename"),
        ({"files": [{"filename": "a.png", "content_type": "png"}]}, "#/files/0/content_type"),
        ({"files": [{"filename": "a.png", "content_type": "image/png\r\nx: y"}]}, "#/files/0/content_type"),
        ({"files": [{"filename": "a.png"}]}, "#/files/0/content_type"),
        ({"files": [{"filename": "a.png", "content_type": "image/png", "key": "../x"}]}, "#/files/0/key"),
        ({"files": [], "more": 1}, "#/files"),
    ],
)
def test_a_wrong_body_is_refused_with_its_place(shop: Caller, body: Any, pointer: str) -> None:
    data = json.dumps(body)
    problem = shop.problem("POST", "/v1/uploads", 422, "validation_failed", data=data, content_type="application/json")
    assert problem["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 10_000, b"files=a"])
def test_broken_json_is_told_from_a_wrong_body(shop: Caller, body: bytes) -> None:
    shop.problem("POST", "/v1/uploads", 400, "json_invalid", data=body, content_type="application/json")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_media_type_is_refused(shop: Caller, content_type: str) -> None:
    shop.problem("POST", "/v1/uploads", 415, "media_type_unsupported", data=b"{}", content_type=content_type)


def test_a_body_over_the_limit_is_refused(make_service: MakeService, embedded_settings: Settings) -> None:
    shop = make_service(embedded_settings.model_copy(update={"max_request_bytes": 1000})).caller()
    problem = shop.problem(
        "POST", "/v1/uploads", 413, "request_too_large", data=b" " * 1001, content_type="application/json"
    )
    assert "1000 bytes" in problem["detail"]


def test_a_picture_goes_straight_to_the_object_store_and_into_a_job(server_service: Service) -> None:
    shop = server_service.caller()
    wanted = [
        {"filename": "shirt.jpg", "content_type": "image/jpeg"},
        {"filename": "mask.png", "content_type": "image/png"},
    ]
    uploads = shop.post("/v1/uploads", 201, json={"files": wanted}).json["uploads"]
    for upload, data in zip(uploads, [picture(), mask()], strict=True):
        answer = patient.request(upload["method"], upload["url"], headers=upload["headers"], content=data)
        assert answer.status_code == 200, answer.text
    body = {"images": [{"upload_id": uploads[0]["id"]}], "mask_upload_id": uploads[1]["id"]}
    job = shop.post("/v1/jobs", 202, json=body).json
    server_service.succeed(job["id"], b"the clean picture")
    image = shop.get(job["links"]["images"]).json["data"][0]
    link = shop.get(image["result_url"], 302).headers["Location"]
    answer = patient.get(link)
    assert answer.content == b"the clean picture"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="shirt.png"'
