"""Small jobs with their pictures in the request: all parts are checked before one is stored."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from cleanplate.base.settings import Settings
from storage.ledger.images.leases import lease_images
from storage.ledger.jobs.reading import get_image, list_images
from tests.unit.api.calling import Caller, MakeService, Service, mask, picture


def part(data: bytes, name: str = "shirt.jpg") -> tuple[io.BytesIO, str]:
    return io.BytesIO(data), name


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def refused(shop: Caller, code: str, status: int = 422, **parts: Any) -> dict[str, Any]:
    """The problem of a job of these parts; no job may be left."""
    problem = shop.problem("POST", "/v1/jobs", status, code, data=parts)
    assert shop.get("/v1/jobs").json["data"] == []
    return problem


def test_a_job_with_its_pictures(make_service: MakeService, settings: Settings) -> None:
    service = make_service(settings)
    shop = service.caller()
    pictures = [picture("JPEG"), picture("PNG"), picture("WEBP")]
    form = {
        "images": [part(data, f"folder/shirt {n}.bin") for n, data in enumerate(pictures)],
        "mask": part(mask(), "mask.png"),
        "options": '{"dilation_px": 4}',
    }
    job = shop.post("/v1/jobs", 202, data=form).json
    assert (job["total"], job["options"]["dilation_px"]) == (3, 4)
    images = list_images(service.stores.database, service.tenant("shop"), job["id"], limit=9, after=None)
    assert [image.name for image in images] == ["shirt 0.bin", "shirt 1.bin", "shirt 2.bin"]
    blobs = service.stores.blobs
    assert [blobs.get(image.source_key) for image in images] == pictures
    assert {blobs.get(image.mask_key) for image in images} == {mask()}
    assert [blobs.stat(image.source_key).content_type for image in images] == ["image/jpeg", "image/png", "image/webp"]


BOXES = {"boxes": [[0.5, 0.5, 0.25, 0.25]], "units": "relative"}


def test_boxes_stand_in_for_a_mask(service: Service, shop: Caller) -> None:
    form = {"images": [part(picture(size=size)) for size in ((8, 8), (16, 24))], "mask_place": json.dumps(BOXES)}
    job = shop.post("/v1/jobs", 202, data=form).json
    _, leased = lease_images(
        service.stores.database,
        [image["id"] for image in shop.get(job["links"]["images"]).json["data"]],
        worker="test",
        lease_s=60,
    )
    assert [(image.mask_key, image.mask.document()) for image in leased] == [("", BOXES)] * 2


def test_a_mask_with_an_anchor_is_laid_on_pictures_of_other_shapes(service: Service, shop: Caller) -> None:
    place = {"anchor": "bottom_right", "scale": "width"}
    form = {
        "images": [part(picture(size=(40, 30))), part(picture(size=(30, 40)))],
        "mask": part(mask((24, 16)), "m.png"),
        "mask_place": json.dumps(place),
    }
    job = shop.post("/v1/jobs", 202, data=form).json
    _, leased = lease_images(
        service.stores.database,
        [image["id"] for image in shop.get(job["links"]["images"]).json["data"]],
        worker="test",
        lease_s=60,
    )
    assert [image.placement.document() for image in leased] == [place] * 2
    assert {service.stores.blobs.get(image.mask_key) for image in leased} == {mask((24, 16))}


@pytest.mark.parametrize(
    ("place", "masks", "pointer"),
    [
        ("{", {}, "#/mask_place"),
        ("[]", {}, "#/mask_place"),
        ('{"edge": 1}', {}, "#/mask_place/edge"),
        ('{"scale": "width"}', {}, "#/mask_place"),
        ('{"anchor": "top"}', {}, "#/mask_place"),
        ('{"anchor": "top"}', {"masks": "one"}, "#/mask_place"),
        (json.dumps(BOXES), {"mask": "one"}, "#/mask_place"),
        (json.dumps(BOXES), {"masks": "one"}, "#/mask_place"),
    ],
)
def test_a_place_of_a_mask_that_makes_no_sense_is_refused(
    shop: Caller, place: str, masks: dict[str, str], pointer: str
) -> None:
    files = {name: part(mask(), "m.png") for name in masks}
    problem = refused(shop, "validation_failed", images=part(picture()), mask_place=place, **files)
    assert problem["errors"][0]["pointer"] == pointer


def test_each_picture_may_have_its_own_mask(service: Service, shop: Caller) -> None:
    sizes = [(8, 8), (16, 24)]
    form = {
        "images": [part(picture(size=size)) for size in sizes],
        "masks": [part(mask(size), "m.png") for size in sizes],
    }
    job = shop.post("/v1/jobs", 202, data=form).json
    images = shop.get(job["links"]["images"]).json["data"]
    kept = [get_image(service.stores.database, service.tenant("shop"), image["id"]) for image in images]
    assert [service.stores.blobs.get(image.mask_key) for image in kept] == [mask(size) for size in sizes]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"not a picture", "image_unreadable"),
        (b"", "image_unreadable"),
        (picture()[:12], "image_unreadable"),
        (png_header(0, 16), "image_empty"),
        (picture("ICO"), "image_unreadable"),
        (png_header(40_000, 40_000), "image_too_many_pixels"),
    ],
)
def test_unusable_pictures_are_refused(shop: Caller, data: bytes, code: str) -> None:
    problem = refused(shop, code, images=[part(picture()), part(data)], mask=part(mask(), "m.png"))
    assert [fault["pointer"] for fault in problem["errors"]] == ["#/images/1"]


def test_all_wrong_parts_are_told_at_once(shop: Caller) -> None:
    problem = refused(
        shop, "image_unreadable", images=[part(b"no"), part(picture()), part(b"no")], mask=part(b"no", "m.png")
    )
    assert [fault["pointer"] for fault in problem["errors"]] == ["#/images/0", "#/images/2", "#/mask"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"not a picture", "mask_unreadable"),
        (mask((24, 15)), "mask_size_mismatch"),
        (png_header(40_000, 40_000), "mask_too_many_pixels"),
        (picture("ICO"), "mask_unreadable"),
    ],
)
def test_an_unusable_mask_is_refused(shop: Caller, data: bytes, code: str) -> None:
    refused(shop, code, images=[part(picture())], mask=part(data, "m.png"))


def white(size: tuple[int, int] = (24, 16)) -> bytes:
    file = io.BytesIO()
    Image.new("L", size, 255).save(file, "PNG")
    return file.getvalue()


def test_a_job_whose_masks_mark_nearly_all_is_told_when_it_is_submitted(shop: Caller) -> None:
    problem = refused(shop, "mask_covers_nearly_all", images=part(picture()), mask=part(white(), "mask.png"))
    assert problem["errors"][0]["pointer"] == "#/mask"
    images = [part(picture()) for _ in range(3)]
    most = [part(white(), "0.png"), part(white(), "1.png"), part(mask(), "2.png")]
    refused(shop, "mask_covers_nearly_all", images=images, masks=most)


@pytest.mark.parametrize("options", ['{"mask_inverted": true}', '{"max_marked_share": 1}'])
def test_a_mask_that_is_meant_so_is_taken(shop: Caller, options: str) -> None:
    shown = white() if "share" in options else mask()
    shop.post("/v1/jobs", 202, data={"images": part(picture()), "mask": part(shown, "mask.png"), "options": options})


def test_a_mask_is_compared_with_the_picture_as_seen(shop: Caller) -> None:
    from PIL import Image

    turned = Image.Exif()
    turned[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (24, 16)).save(file, "JPEG", exif=turned)
    form = {"images": [part(file.getvalue())], "mask": part(mask((16, 24)), "m.png")}
    assert shop.post("/v1/jobs", 202, data=form).json["total"] == 1


def test_a_file_over_the_limit_is_refused(make_service: MakeService, embedded_settings: Settings) -> None:
    limit = len(picture()) + 1
    shop = make_service(embedded_settings.model_copy(update={"max_image_bytes": limit})).caller()
    problem = refused(
        shop, "image_too_large", 413, images=[part(picture() + b"xx")], mask=part(mask((24, 16)), "m.png")
    )
    assert str(limit) in problem["detail"]
    problem = refused(shop, "mask_too_large", 413, images=[part(picture())], mask=part(mask() + b"x" * limit, "m.png"))


def test_a_request_over_the_limit_is_refused(make_service: MakeService, embedded_settings: Settings) -> None:
    shop = make_service(embedded_settings.model_copy(update={"max_request_bytes": 2000})).caller()
    problem = refused(shop, "request_too_large", 413, images=[part(b"x" * 2001)], mask=part(mask(), "m.png"))
    assert "/v1/uploads" in problem["detail"]


def test_more_pictures_than_fit_inline_are_refused(make_service: MakeService, embedded_settings: Settings) -> None:
    shop = make_service(embedded_settings.model_copy(update={"max_inline_images": 2})).caller()
    refused(shop, "too_many_images", images=[part(picture())] * 1 + [part(picture()), part(picture())])


def test_a_picture_without_a_mask_is_refused_with_its_index(shop: Caller) -> None:
    problem = refused(shop, "mask_missing", images=[part(picture()), part(picture())], masks=[part(mask(), "m.png")])
    assert [fault["pointer"] for fault in problem["errors"]] == ["#/images/1"]
    refused(shop, "mask_missing", images=[part(picture())])


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({"images": []}, "#/images"),
        ({"images": "upl_1"}, "#/images"),
        ({"mask": "upl_1"}, "#/mask"),
        ({"picture": part(picture())}, "#/picture"),
        ({"priority": "9"}, "#/priority"),
        ({"options": '{"dilation": 1}'}, "#/options/dilation"),
        ({"options": '{"dilation_px": 65}'}, "#/options/dilation_px"),
        ({"options": "{"}, "#/options"),
        ({"options": "[]"}, "#/options"),
        ({"options": ["{}", "{}"]}, "#/options"),
        ({"options": part(b"{}", "options.json")}, "#/options"),
        ({"webhook": "whe 1"}, "#/webhook"),
        ({"mask": [part(mask(), "a.png"), part(mask(), "b.png")]}, "#/mask"),
        ({"masks": [part(mask(), "a.png")]}, "#/masks"),
        ({"mask": [], "masks": [part(mask(), "a.png"), part(mask(), "b.png")]}, "#/masks/1"),
        ({"images": [part(picture(), "..")]}, "#/images/0"),
    ],
)
def test_wrong_parts_are_refused_with_their_names(shop: Caller, parts: dict[str, Any], pointer: str) -> None:
    for value in parts.values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, tuple):
                item[0].seek(0)
    form = {"images": [part(picture())], "mask": part(mask(), "m.png"), **parts}
    problem = refused(shop, "validation_failed", **form)
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]


def test_an_unknown_webhook_leaves_no_job(shop: Caller) -> None:
    refused(shop, "webhook_unknown", images=[part(picture())], mask=part(mask(), "m.png"), webhook="whe_0")


def test_a_form_that_breaks_off_leaves_no_job(shop: Caller) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n' + picture()
    for content_type in ("multipart/form-data; boundary=x", "multipart/form-data; boundary=y", "multipart/form-data"):
        shop.problem("POST", "/v1/jobs", 400, "request_invalid", data=body, content_type=content_type)
    assert shop.get("/v1/jobs").json["data"] == []
