"""Uploads by forms and in parts, on a directory and on S3: limits, and only complete files in a job."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.base.settings import Settings
from storage.blobs.base import PART_BYTES, part_sizes
from storage.ledger.tenants.parts import find_upload
from storage.ledger.tenants.quotas import get_usage
from tests import patient
from tests.unit.api.calling import PUBLIC_URL, Caller, MakeService, Service, mask, picture

PNG = {"filename": "shirt.png", "content_type": "image/png"}


@pytest.fixture(params=["embedded_settings", "server_settings"])
def either(request: pytest.FixtureRequest, make_service: MakeService) -> Service:
    """The API on SQLite and a directory, and on Postgres and S3; files may have some more bytes than one part."""
    settings: Settings = request.getfixturevalue(request.param)
    return make_service(settings.model_copy(update={"max_image_bytes": PART_BYTES + 1000}))


def ask(shop: Caller, *files: dict[str, Any]) -> list[dict[str, Any]]:
    uploads: list[dict[str, Any]] = shop.post("/v1/uploads", 201, json={"files": list(files)}).json["uploads"]
    return uploads


def put(service: Service, link: dict[str, Any], data: bytes) -> tuple[int, str]:
    """Status and ETag of a part sent to its link."""
    headers = {**link["headers"], "Content-Length": str(len(data))}
    if link["url"].startswith(PUBLIC_URL):
        answer = service.stranger().any("PUT", link["url"], headers=headers, data=data)
        return answer.status_code, answer.headers.get("ETag", "")
    sent = patient.put(link["url"], headers=headers, content=data)
    return sent.status_code, sent.headers.get("ETag", "")


def post(service: Service, upload: dict[str, Any], data: bytes, **change: str) -> int:
    """Status of a file sent by its form."""
    fields = {**upload["fields"], **change}
    if upload["url"].startswith(PUBLIC_URL):
        form = {**fields, "file": (io.BytesIO(data), "a.png")}
        return service.stranger().any(upload["method"], upload["url"], data=form).status_code
    return patient.post(upload["url"], data=fields, files={"file": ("a.png", data)}).status_code


def submit(shop: Caller, image: str, marks: str, status: int = 202) -> dict[str, Any]:
    body = {"images": [{"upload_id": image}], "mask_upload_id": marks}
    answer: dict[str, Any] = shop.post("/v1/jobs", status, json=body).json
    return answer


def test_pictures_sent_by_forms_make_a_job(either: Service) -> None:
    shop = either.caller()
    image, marks = ask(shop, {**PNG, "method": "post", "size": len(picture("PNG"))}, {**PNG, "method": "post"})
    assert (image["method"], image["parts"]) == ("POST", [])
    assert post(either, image, picture("PNG")) == 204
    assert post(either, marks, mask()) == 204
    assert submit(shop, image["id"], marks["id"])["total"] == 1


def test_a_form_takes_its_size_key_and_type_only(either: Service) -> None:
    shop = either.caller()
    (exact,) = ask(shop, {**PNG, "method": "post", "size": 4})
    key = exact["fields"]["key"]
    foreign = {"key": key[:-1] + ("1" if key.endswith("0") else "0")}
    refusals: list[tuple[bytes, dict[str, str]]] = [
        (b"01234", {}),
        (b"012", {}),
        (b"0123", foreign),
        (b"0123", {"Content-Type": "text/html"}),
    ]
    for data, change in refusals:
        assert post(either, exact, data, **change) in (400, 403, 422)
    assert list(either.stores.blobs.list("")) == []


@pytest.mark.parametrize("settings_of", ["embedded_settings", "server_settings"])
@pytest.mark.parametrize("more", [1, 100_000])
def test_a_form_of_no_announced_size_takes_what_the_service_does(
    request: pytest.FixtureRequest, make_service: MakeService, settings_of: str, more: int
) -> None:
    settings: Settings = request.getfixturevalue(settings_of)
    service = make_service(settings.model_copy(update={"max_image_bytes": 1000}))
    (upload,) = ask(service.caller(), {**PNG, "method": "post"})
    assert post(service, upload, bytes(1000 + more)) in (400, 413)
    assert list(service.stores.blobs.list("")) == []
    assert post(service, upload, bytes(1000)) == 204


def test_a_form_without_its_file_or_of_another_kind_is_refused(service: Service, shop: Caller) -> None:
    (upload,) = ask(shop, {**PNG, "method": "post"})
    anyone, url = service.stranger(), upload["url"]
    form = {**upload["fields"]}
    anyone.problem("POST", url, 422, "validation_failed", data=form, content_type="multipart/form-data")
    anyone.problem("POST", url, 415, "media_type_unsupported", data=b"bytes", content_type="image/png")
    anyone.problem("PUT", url, 403, "link_invalid", data=b"bytes", content_type="image/png")


def test_a_large_file_in_parts_makes_a_job_once_it_is_whole(either: Service) -> None:
    shop = either.caller()
    data = picture("PNG") + bytes(PART_BYTES)
    upload, marks = ask(
        shop, {**PNG, "method": "multipart", "size": len(data)}, {**PNG, "method": "post", "size": len(mask())}
    )
    post(either, marks, mask())
    assert (upload["url"], upload["fields"]) == (None, {})
    assert [part["size"] for part in upload["parts"]] == [PART_BYTES, len(data) - PART_BYTES]
    first, second = upload["parts"]
    status, second_etag = put(either, second, data[PART_BYTES:])
    assert status < 300
    assert put(either, first, b"another size")[0] >= 400
    again = shop.post(f"/v1/uploads/{upload['id']}/parts", 200, json={"numbers": [1]}).json["parts"]
    status, first_etag = put(either, again[0], data[:PART_BYTES])
    assert status < 300

    complete = f"/v1/uploads/{upload['id']}/complete"
    good = [{"number": 2, "etag": second_etag}, {"number": 1, "etag": first_etag}]
    assert submit(shop, upload["id"], marks["id"], 422)["code"] == "upload_unknown"
    for parts in (good[:1], [*good, good[0]], [good[0], {"number": 1, "etag": '"ab"'}]):
        shop.problem("POST", complete, 422, "parts_invalid", json={"parts": parts})
    for _ in range(2):
        stored = shop.post(complete, 200, json={"parts": good}).json
        assert (stored["size"], stored["content_type"]) == (len(data), "image/png")
    job = submit(shop, upload["id"], marks["id"])
    key = f"t/{either.tenant('shop')}/uploads/{upload['id']}"
    assert either.stores.blobs.get(key) == data

    shop.problem("POST", f"/v1/uploads/{upload['id']}/parts", 409, "upload_complete", json={"numbers": [1]})
    assert put(either, first, data[:PART_BYTES])[0] == 404
    shop.problem("DELETE", f"/v1/uploads/{upload['id']}", 409, "upload_in_use")
    assert job["total"] == 1


def test_a_completion_that_was_not_noted_is_repeated(either: Service) -> None:
    shop = either.caller()
    (upload,) = ask(shop, {**PNG, "method": "multipart", "size": 4})
    etag = put(either, upload["parts"][0], b"0123")[1]
    kept = find_upload(either.stores.database, either.tenant("shop"), upload["id"])
    either.stores.blobs.join_parts(kept.key, kept.parts_id or "", [etag], content_type="image/png")
    stored = shop.post(f"/v1/uploads/{upload['id']}/complete", 200, json={"parts": [{"number": 1, "etag": etag}]})
    assert stored.json["size"] == 4


def test_a_dropped_upload_is_gone_for_its_tenant(either: Service) -> None:
    shop, rival = either.caller(), either.caller("rival")
    uploads = ask(shop, {**PNG, "method": "multipart", "size": 4}, PNG)
    for upload in uploads:
        path = f"/v1/uploads/{upload['id']}"
        rival.problem("DELETE", path, 404, "not_found")
        rival.problem("POST", f"{path}/parts", 404, "not_found", json={"numbers": [1]})
        body = {"parts": [{"number": 1, "etag": "ab"}]}
        rival.problem("POST", f"{path}/complete", 404, "not_found", json=body)
        shop("DELETE", path, status=204)
        shop.problem("DELETE", path, 404, "not_found")
        shop.problem("POST", f"{path}/complete", 404, "not_found", json=body)


@pytest.mark.parametrize(
    ("file", "code", "status"),
    [
        ({"method": "multipart"}, "validation_failed", 422),
        ({"method": "PUT"}, "validation_failed", 422),
        ({"method": "multipart", "size": 2**40}, "image_too_large", 413),
        ({"method": "post", "size": 2**40}, "image_too_large", 413),
    ],
)
def test_files_that_cannot_be_sent_get_no_upload(
    service: Service, shop: Caller, file: dict[str, Any], code: str, status: int
) -> None:
    problem = shop.problem("POST", "/v1/uploads", status, code, json={"files": [{**PNG, **file}]})
    assert problem["errors"][0]["pointer"].startswith("#/files/0")
    assert get_usage(service.stores.database, service.tenant("shop")).bytes_today == 0


def test_more_parts_than_one_answer_lists_are_refused(service: Service, shop: Caller) -> None:
    size = service.settings.max_image_bytes
    each = len(part_sizes(size))
    files = [{**PNG, "method": "multipart", "size": size}] * (10_000 // each + 1)
    problem = shop.problem("POST", "/v1/uploads", 422, "validation_failed", json={"files": files})
    assert problem["errors"][0]["pointer"] == f"#/files/{10_000 // each}"


def test_parts_that_the_file_does_not_have_get_no_links(shop: Caller) -> None:
    (upload,) = ask(shop, {**PNG, "method": "multipart", "size": PART_BYTES + 1})
    problem = shop.problem(
        "POST", f"/v1/uploads/{upload['id']}/parts", 422, "validation_failed", json={"numbers": [2, 3]}
    )
    assert problem["errors"][0]["pointer"] == "#/numbers/1"


@given(st.integers(1, 2**41))
def test_parts_make_up_the_file_and_are_as_s3_takes_them(size: int) -> None:
    sizes = part_sizes(size)
    assert sum(sizes) == size
    assert 1 <= len(sizes) <= 10_000
    assert all(part >= 5 * 2**20 for part in sizes[:-1])
    assert 0 < sizes[-1] <= 5 * 2**30
