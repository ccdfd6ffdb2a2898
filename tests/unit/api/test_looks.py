"""Overviews of a job: reasons and stages in sum, a preview of each image, and the uploaded picture."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from cleanplate.base.image_records import ImageRecord, PreviewSize
from storage.blobs.keys import preview_key
from storage.records import ImageState
from tests.unit.api.calling import Caller as Shop
from tests.unit.api.calling import Service


def images_of(shop: Shop, job_id: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = shop.get(f"/v1/jobs/{job_id}/images").json["data"]
    return found


def test_reasons_are_counted_and_stages_averaged(service: Service, shop: Shop) -> None:
    broken, clean = shop.submit(2), shop.submit()
    sentence = "The file ends early: send it again."
    service.finish(broken["id"], state=ImageState.FAILED, error_code="image_truncated", error_detail=sentence)
    seconds = {"network": 0.2, "fetch": 0.1}
    service.finish(clean["id"], state=ImageState.SUCCEEDED, result_key="t/x", record=ImageRecord(seconds=seconds))
    assert shop.get(f"/v1/jobs/{broken['id']}/overview").json == {
        "reasons": [{"code": "image_truncated", "count": 2, "detail": sentence}],
        "stages": {},
    }
    overview = shop.get(f"/v1/jobs/{clean['id']}/overview").json
    assert overview["reasons"] == []
    assert list(overview["stages"].items()) == [("fetch", 0.1), ("network", 0.2)]
    failed = f"/v1/jobs/{broken['id']}/images?error_code="
    assert len(shop.get(failed + "image_truncated").json["data"]) == 2
    assert shop.get(failed + "worker_lost").json["data"] == []


def test_a_preview_is_there_where_a_worker_made_one(service: Service, shop: Shop) -> None:
    job = shop.submit()
    (image,) = images_of(shop, job["id"])
    assert image["preview_url"] is None
    shop.problem("GET", f"/v1/images/{image['id']}/preview", 404, "not_found")
    key = preview_key(service.tenant("shop"), job["id"], image["id"])
    service.stores.blobs.put(key, b"RIFF", content_type="image/webp")
    record = ImageRecord(preview=PreviewSize(width=24, height=16))
    service.finish(job["id"], state=ImageState.SUCCEEDED, result_key="t/x", record=record)
    (image,) = images_of(shop, job["id"])
    answer = shop.get(image["preview_url"])
    assert (answer.data, answer.mimetype) == (b"RIFF", "image/webp")
    assert answer.headers["Cache-Control"].startswith("private")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_picture_as_it_was_sent_is_fetched_by_a_link(service: Service, shop: Shop) -> None:
    job = shop.submit()
    (image,) = images_of(shop, job["id"])
    link = shop.get(f"/v1/images/{image['id']}/source", 302).headers["Location"]
    assert service.stranger().get(link).headers["Content-Disposition"] == 'attachment; filename="shirt-0.jpg"'


def test_nobody_looks_at_anothers_job(service: Service, shop: Shop) -> None:
    job = shop.submit()
    (image,) = images_of(shop, job["id"])
    other = service.caller("other")
    for path in (
        f"/v1/jobs/{job['id']}/overview",
        f"/v1/images/{image['id']}/preview",
        f"/v1/images/{image['id']}/source",
    ):
        other.problem("GET", path, 404, "not_found")


@pytest.mark.parametrize("form", ["HEIF", "TIFF"])
def test_formats_that_browsers_cannot_show_are_converted(service: Service, shop: Shop, form: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (2500, 2000), (200, 40, 30)).save(file, form)
    (upload,) = shop.upload(("a.bin", file.getvalue()))
    seen = shop.get(f"/v1/uploads/{upload}/view")
    assert (seen.headers["Cleanplate-Width"], seen.headers["Cleanplate-Height"]) == ("2500", "2000")
    with Image.open(io.BytesIO(seen.data)) as view:
        assert (view.format, view.size[0] / view.size[1]) == ("WEBP", pytest.approx(1.25, rel=0.01))
        assert view.size[0] * view.size[1] <= 4_000_000
        assert view.getpixel((10, 10)) == pytest.approx((200, 40, 30), abs=12)
    service.caller("other").problem("GET", f"/v1/uploads/{upload}/view", 404, "not_found")
    job = shop.submit()
    (image,) = images_of(shop, job["id"])
    shop.problem("GET", f"/v1/images/{image['id']}/view", 404, "not_found")
    service.stores.blobs.put("t/x", file.getvalue(), content_type="image/tiff")
    service.finish(job["id"], state=ImageState.SUCCEEDED, result_key="t/x")
    assert shop.get(f"/v1/images/{image['id']}/view").mimetype == "image/webp"


def test_a_file_that_is_no_picture_has_no_view(shop: Shop) -> None:
    (upload,) = shop.upload(("a.heic", b"no picture"))
    shop.problem("GET", f"/v1/uploads/{upload}/view", 422, "image_unreadable")
