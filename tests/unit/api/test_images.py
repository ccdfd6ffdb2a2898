"""Images and their results: a signed link once a result exists, a clear problem before."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from api.images import networks_of
from cleanplate.base.settings import Settings
from cleanplate.base.weights import SHIPPED
from storage.records import ImageState
from tests.unit.api.calling import Caller, MakeService, Service, mask, picture


def first_image(shop: Caller, job: dict[str, dict[str, str]]) -> str:
    return str(shop.get(job["links"]["images"]).json["data"][0]["id"])


@pytest.mark.parametrize(
    ("name", "downloaded"),
    [
        ("shirt.jpg", 'attachment; filename="shirt.png"'),
        ("shirt", 'attachment; filename="shirt.png"'),
        ("рубашка.webp", "attachment; filename*=utf-8''%D1%80%D1%83%D0%B1%D0%B0%D1%88%D0%BA%D0%B0.png"),
        ('a";x="b.jpg', 'attachment; filename="a\\";x=\\"b.png"'),
    ],
)
def test_a_result_is_fetched_by_its_link_under_its_own_name(
    service: Service, shop: Caller, name: str, downloaded: str
) -> None:
    image, marks = shop.upload(("a.jpg", picture()), ("m.png", mask()))
    body = {"images": [{"upload_id": image, "name": name}], "mask_upload_id": marks}
    job = shop.post("/v1/jobs", 202, json=body).json
    service.succeed(job["id"], b"clean" * 100_000)
    image = shop.get(job["links"]["images"]).json["data"][0]
    assert (image["state"], image["width"], image["height"]) == ("succeeded", 24, 16)
    link = shop.get(image["result_url"], 302)
    answer = service.stranger().get(link.headers["Location"])
    assert answer.data == b"clean" * 100_000
    assert answer.mimetype == "image/png"
    assert answer.headers["Content-Disposition"] == downloaded
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_a_skipped_image_has_its_source_as_result(service: Service, shop: Caller) -> None:
    job = shop.submit()
    key = f"t/{service.tenant('shop')}/uploads/upl_1"
    service.stores.blobs.put(key, b"source", content_type="image/jpeg")
    service.finish(job["id"], state=ImageState.SKIPPED, result_key=key, content_type="image/jpeg")
    link = shop.get(f"/v1/images/{first_image(shop, job)}/result", 302).headers["Location"]
    answer = service.stranger().get(link)
    assert (answer.data, answer.headers["Content-Disposition"]) == (b"source", 'attachment; filename="shirt-0.jpg"')


def test_a_result_that_is_not_there_yet(shop: Caller) -> None:
    problem = shop.problem("GET", f"/v1/images/{first_image(shop, shop.submit())}/result", 409, "image_not_finished")
    assert "queued" in problem["detail"]


def test_the_result_of_a_failed_image_is_why_it_failed(service: Service, shop: Caller) -> None:
    job = shop.submit()
    service.finish(job["id"], state=ImageState.FAILED, error_code="image_truncated", error_detail="It ends early.")
    problem = shop.problem("GET", f"/v1/images/{first_image(shop, job)}/result", 409, "image_failed")
    assert problem["detail"] == "image_truncated: It ends early."


def test_a_canceled_image_has_no_result(shop: Caller) -> None:
    job = shop.submit()
    shop.post(f"{job['links']['self']}/cancel", 200)
    shop.problem("GET", f"/v1/images/{first_image(shop, job)}/result", 409, "image_canceled")


@pytest.mark.parametrize("path", ["/v1/images/img_0", "/v1/images/img_0/result", "/v1/images/%F0%9F%91%95"])
def test_an_unknown_image_is_not_found(shop: Caller, path: str) -> None:
    shop.problem("GET", path, 404, "not_found")


def test_a_link_leads_to_the_public_address_of_the_object_store(
    make_service: MakeService, server_settings: Settings
) -> None:
    public = server_settings.model_copy(update={"s3_public_endpoint_url": "https://files.example"})
    service = make_service(public)
    shop = service.caller()
    form = {"filename": "a.png", "content_type": "image/png"}
    upload = shop.post("/v1/uploads", 201, json={"files": [form]}).json["uploads"][0]
    assert upload["url"].startswith("https://files.example/")


def test_the_embedded_service_offers_the_networks_in_its_folder(embedded_settings: Settings) -> None:
    assert networks_of(embedded_settings) == [SHIPPED]
    folder = embedded_settings.home / "weights"
    folder.mkdir(parents=True)
    for name in ("big-lama", "Not a name"):
        (folder / f"{name}.safetensors").touch()
    assert networks_of(embedded_settings) == ["big-lama", SHIPPED]
    on_servers = embedded_settings.model_copy(update={"broker_url": SecretStr("redis://queue"), "models": ("mine",)})
    assert networks_of(on_servers) == [SHIPPED, "mine"]
