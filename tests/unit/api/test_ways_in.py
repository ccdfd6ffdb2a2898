"""Ways into a job: addresses, manifests and folders in S3, with masks and options of single images."""

from __future__ import annotations

import io
import json
from typing import Any

import boto3
import pytest

from cleanplate.base.settings import Settings
from storage.ledger.images.leases import lease_images
from storage.records import LeasedImage
from tests.addresses import REFUSED_BY_THEIR_TEXT
from tests.unit.api.calling import RIGHTS, Caller, MakeService, Service

BOXES = {"boxes": [[0.7, 0.9, 0.2, 0.05]], "units": "relative"}
PICTURE = "https://shop.example/pictures/Shirt%20%231.jpg"


def images_of(shop: Caller, job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.get(job["links"]["images"] + "?limit=1000").json["data"]
    return found


def leased(service: Service, shop: Caller, job: dict[str, Any]) -> list[LeasedImage]:
    ids = [image["id"] for image in images_of(shop, job)]
    return lease_images(service.stores.database, ids, worker="test", lease_s=60)[1]


def test_pictures_by_address_need_no_upload(shop: Caller) -> None:
    images = [{"url": PICTURE, "custom_id": "sku-1"}, {"url": "https://shop.example/", "name": "b.png"}]
    job = shop.post("/v1/jobs", 202, json={"images": images, "mask": BOXES}).json
    assert job["mask"] == BOXES
    images = images_of(shop, job)
    assert [(image["name"], image["source_url"]) for image in images] == [
        ("Shirt #1.jpg", PICTURE),
        ("b.png", "https://shop.example/"),
    ]


def test_a_manifest_with_addresses_that_are_not_public_is_refused(shop: Caller) -> None:
    rows = "\n".join(json.dumps({"url": url}) for url in REFUSED_BY_THEIR_TEXT)
    answer = shop.submit_manifest(rows, 422, mask=BOXES)
    assert [fault["code"] for fault in answer["errors"]] == ["url_not_allowed"] * len(REFUSED_BY_THEIR_TEXT)


def test_an_images_own_mask_and_options_win_over_the_jobs(service: Service, shop: Caller) -> None:
    marks, other = shop.upload(("a.png", b"a"), ("b.png", b"b"))
    images = [
        {"url": PICTURE},
        {"url": PICTURE, "mask_upload_id": other, "options": {"output": "png", "dilation_px": None}},
        {"url": PICTURE, "mask": BOXES},
    ]
    mask = {"upload_id": marks, "anchor": "bottom_right", "scale": "width"}
    options = {"dilation_px": 4, "feather_px": 1}
    job = shop.post("/v1/jobs", 202, json={"images": images, "mask": mask, "options": options}).json
    shared, own, boxes = leased(service, shop, job)
    assert shared.mask_key.endswith(marks)
    assert (shared.mask.document(), shared.placement.anchor, shared.placement.scale) == (mask, "bottom_right", "width")
    assert (shared.options.dilation_px, shared.options.output) == (4, None)
    assert own.mask_key.endswith(other)
    assert (own.mask.document(), own.placement.anchor) == ({"upload_id": other}, None)
    assert (own.options.dilation_px, own.options.feather_px, own.options.output) == (None, 1, "png")
    assert (boxes.mask_key, boxes.mask.document()) == ("", BOXES)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"options": {"dilation": 4}}, "#/options/dilation"),
        ({"options": {"model": "no-such-network"}}, "#/options/model"),
        ({"images": [{"url": PICTURE, "options": {"model": "no-such"}}]}, "#/images/0/options/model"),
        ({"images": [{"url": PICTURE, "options": {"ffc_lambda": 2}}]}, "#/images/0/options/ffc_lambda"),
        ({"images": [{"url": PICTURE, "upload_id": "upl_1"}]}, "#/images/0"),
        ({"mask": {**BOXES, "anchor": "top"}}, "#/mask"),
        ({"mask": {"upload_id": "upl_1", "scale": "width"}}, "#/mask"),
        ({"mask": {"anchor": "top"}}, "#/mask"),
        ({"mask": {"boxes": [[0, 0, 10, 10]], "anchor": "top"}}, "#/mask"),
        ({"mask": {"upload_id": "upl_1", "edge": 1}}, "#/mask/edge"),
        ({"folder": "s3://shop/"}, "#"),
    ],
)
def test_nonsensical_requests_are_refused(shop: Caller, change: dict[str, Any], place: str) -> None:
    body = {"images": [{"url": PICTURE}], "mask": BOXES, **change}
    problem = shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=body)
    assert problem["errors"][0]["pointer"] == place


def test_a_manifest_as_json_lines_and_as_csv_make_the_same_job(service: Service, shop: Caller) -> None:
    upload = shop.upload(("shirt.png", b"1"))[0]
    rows = [
        {"custom_id": "a,1", "upload_id": upload, "options": {"output": "png", "label": True}},
        {"custom_id": "b", "url": PICTURE, "mask": BOXES, "name": 'Größe "XL".jpg'},
    ]
    lines = "\ufeff" + "\n\n".join(json.dumps(row) for row in rows)
    table = (
        "custom_id,upload_id,url,name,mask,options.output,options.label\r\n"
        f'"a,1",{upload},,,,png,true\r\n'
        f'b,,{PICTURE},"Größe ""XL"".jpg","{json.dumps(BOXES).replace(chr(34), chr(34) * 2)}",,\r\n'
    )
    mask = {"boxes": [[1, 2, 3, 4]]}
    seen = []
    for manifest in (lines, table):
        job = shop.submit_manifest(manifest, mask=mask)
        assert (job["total"], job["rows_skipped"]) == (2, 0)
        seen.append(
            [
                (image["custom_id"], image["name"], image["source_url"], image["mask"], image["options"])
                for image in images_of(shop, job)
            ]
        )
    assert seen[0] == seen[1]
    assert seen[0] == [
        ("a,1", "shirt.png", None, None, {"output": "png", "label": True}),
        ("b", 'Größe "XL".jpg', PICTURE, BOXES, None),
    ]


BAD_ROWS = "\n".join(
    [
        json.dumps({"custom_id": "good", "url": PICTURE}),
        "{",
        json.dumps({"custom_id": "good", "url": PICTURE}),
        json.dumps({"custom_id": "s", "url": PICTURE, "opt": 1}),
        json.dumps({"custom_id": "u", "upload_id": "upl_0"}),
        json.dumps({"custom_id": "p", "url": "https://127.0.0.1/a.jpg"}),
        json.dumps({"custom_id": "l", "url": PICTURE, "name": "x" * 70_000}),
        json.dumps({"custom_id": "two", "url": PICTURE}),
    ]
)
BAD_LINES = [2, 3, 4, 5, 6, 7]


def test_bad_rows_are_told_with_line_and_reason(shop: Caller) -> None:
    answer = shop.submit_manifest(BAD_ROWS, 422, mask=BOXES)
    assert answer["code"] == "manifest_invalid"
    faults = {fault["line"]: (fault["code"], fault["detail"]) for fault in answer["errors"]}
    assert sorted(faults) == BAD_LINES
    assert faults[3] == ("custom_id_repeated", "custom_id: It was on line 1 already.")
    assert faults[5][0] == "upload_unknown"
    assert faults[6][0] == "url_not_allowed"
    assert "opt" in faults[4][1]
    assert shop.get("/v1/jobs").json["data"] == []


def test_bad_rows_are_left_out_and_listed_where_that_is_asked_for(shop: Caller) -> None:
    job = shop.submit_manifest(BAD_ROWS, mask=BOXES, on_error="skip")
    assert (job["total"], job["rows_skipped"]) == (2, 6)
    assert [image["custom_id"] for image in images_of(shop, job)] == ["good", "two"]
    lines = [json.loads(line) for line in shop.get(job["links"]["skipped"]).text.splitlines()]
    assert [line["line"] for line in lines] == BAD_LINES
    assert [line["custom_id"] for line in lines] == [None, "good", "s", "u", "p", None]
    shop("DELETE", job["links"]["self"], status=204)
    shop.problem("GET", job["links"]["skipped"], 404, "not_found")


@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        ("", "manifest_unreadable"),
        ("name,custom_id\na,b\n", "manifest_unreadable"),
        ("url,colour\na,b\n", "manifest_unreadable"),
        ("url,url\na,b\n", "manifest_unreadable"),
        ('url\n"a\n', "manifest_unreadable"),
        (b"url\n\xff\xfe\n", "manifest_unreadable"),
        ("url\na,b\n", "manifest_invalid"),
        ("url\n", "manifest_unreadable"),
        ("url\n" + f"{PICTURE}\n" * 6, "too_many_images"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(
    make_service: MakeService, embedded_settings: Settings, manifest: str | bytes, code: str
) -> None:
    service = make_service(embedded_settings.model_copy(update={"max_job_images": 5}))
    assert service.caller().submit_manifest(manifest, 422, mask=BOXES)["code"] == code


def test_a_row_without_any_mask_is_a_bad_row(shop: Caller) -> None:
    answer = shop.submit_manifest(f"url\n{PICTURE}\n", 422)
    assert answer["errors"][0]["code"] == "mask_missing"


def test_a_manifest_is_submitted_once_under_its_key(shop: Caller) -> None:
    job = json.dumps({**RIGHTS, "mask": BOXES})

    def submitted(manifest: str, status: int) -> Any:
        form = {"manifest": (io.BytesIO(manifest.encode()), "catalogue.csv"), "job": job}
        return shop.post("/v1/jobs/manifest", status, data=form, headers={"Idempotency-Key": "friday"})

    first, again = (submitted(f"url\n{PICTURE}\n", 202) for _ in range(2))
    assert (again.json["id"], again.headers["Idempotency-Replayed"]) == (first.json["id"], "true")
    assert submitted(f"url\n{PICTURE}?2\n", 422).json["code"] == "idempotency_key_reused"
    assert len(shop.get("/v1/jobs").json["data"]) == 1


def test_a_manifest_may_be_an_upload(shop: Caller) -> None:
    upload = shop.upload(("catalogue.csv", f"url,custom_id\n{PICTURE},a\n".encode()))[0]
    body = {"manifest": {"upload_id": upload}, "mask": BOXES}
    job = shop.post("/v1/jobs", 202, json=body).json
    assert [image["custom_id"] for image in images_of(shop, job)] == ["a"]
    unknown = {"manifest": {"upload_id": "upl_0"}, "mask": BOXES}
    shop.problem("POST", "/v1/jobs", 422, "upload_unknown", json=unknown)


def test_pictures_and_manifests_come_from_buckets_that_are_allowed(
    make_service: MakeService, server_settings: Settings
) -> None:
    bucket = server_settings.blobs_url.removeprefix("s3://") + "-shop"
    s3 = boto3.client(
        "s3",
        endpoint_url=server_settings.s3_endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=server_settings.s3_access_key_id.get_secret_value(),
        aws_secret_access_key=server_settings.s3_secret_access_key.get_secret_value(),
    )
    s3.create_bucket(Bucket=bucket)
    for key in ("spring/b/Größe 1.JPG", "spring/a.png", "spring/notes.txt", "winter/c.png"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"picture")
    s3.put_object(Bucket=bucket, Key="spring/list.csv", Body=f"url\ns3://{bucket}/spring/a.png\n".encode())
    service = make_service(server_settings.model_copy(update={"source_buckets": (f"{bucket}/spring",)}))
    shop = service.caller()
    job = shop.post("/v1/jobs", 202, json={"folder": f"s3://{bucket}/spring/", "mask": BOXES}).json
    assert [(image["custom_id"], image["name"], image["source_url"]) for image in images_of(shop, job)] == [
        ("a.png", "a.png", f"s3://{bucket}/spring/a.png"),
        ("b/Größe 1.JPG", "Größe 1.JPG", f"s3://{bucket}/spring/b/Größe 1.JPG"),
    ]
    manifest = {"manifest": {"url": f"s3://{bucket}/spring/list.csv"}, "mask": BOXES}
    assert shop.post("/v1/jobs", 202, json=manifest).json["total"] == 1
    several = {"source": [f"s3://{bucket}/spring/b", f"s3://{bucket}/spring/"], "mask": BOXES}
    job = shop.post("/v1/jobs", 202, json=several).json
    assert [image["path"] for image in images_of(shop, job)] == ["Größe 1.JPG", "a.png"]
    left_out = shop.get(job["links"]["skipped"]).get_data(as_text=True).splitlines()
    assert [json.loads(line)["code"] for line in left_out] == ["not_a_picture", "not_a_picture"]
    own = server_settings.blobs_url.removeprefix("s3://")
    for change in (
        {"folder": f"s3://{bucket}/winter/"},
        {"folder": f"s3://{own}/t/"},
        {"folder": f"s3://{bucket}-other/"},
        {"images": [{"url": f"s3://{own}/t/someone/uploads/upl_1"}]},
        {"manifest": {"url": PICTURE}},
        {"manifest": {"url": f"s3://{bucket}/winter/list.csv"}},
    ):
        shop.problem("POST", "/v1/jobs", 422, "url_not_allowed", json={"mask": BOXES, **change})
    gone = {"manifest": {"url": f"s3://{bucket}/spring/none.csv"}, "mask": BOXES}
    shop.problem("POST", "/v1/jobs", 422, "source_refused", json=gone)
    empty = {"folder": f"s3://{bucket}/spring/empty/", "mask": BOXES}
    shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=empty)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"job": "{}"},
        {"job": json.dumps({**RIGHTS, "mask": BOXES}), "more": "1"},
        {"job": "{"},
    ],
)
def test_a_wrong_form_is_refused(shop: Caller, form: dict[str, str]) -> None:
    answer = shop.post("/v1/jobs/manifest", 422, data=form, content_type="multipart/form-data")
    assert answer.json["code"] in {"validation_failed", "rights_missing"}
