"""Results of a whole job: manifest, errors and ZIP; then retry, delete and retention over HTTP."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from typing import Any

import pytest

from api.routes.results import DownloadEnded
from cleanplate.base.image_records import FileHashes, ImageRecord
from cleanplate.base.settings import Settings
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.jobs.reading import list_images
from storage.ledger.tenants.tenants import list_keys, revoke_key
from storage.records import ImageState, Outcome
from tests.unit.api.calling import Caller, MakeService, Service, mask, picture

NAMES = ["a.jpg", "a.png", "A.JPG", "Größe.jpg"]


def submit(shop: Caller, names: list[str], **fields: Any) -> dict[str, Any]:
    *images, marks = shop.upload(*[(name, picture()) for name in names], ("mask.png", mask()))
    listed = [{"upload_id": image, "custom_id": f"sku {n}"} for n, image in enumerate(images)]
    job: dict[str, Any] = shop.post("/v1/jobs", 202, json={"images": listed, "mask_upload_id": marks, **fields}).json
    return job


def end(service: Service, job_id: str, *, failing: int = 0) -> None:
    """Ends the job's images; the last ``failing`` of them fail, the others get a PNG."""
    db, tenant = service.stores.database, service.tenant("shop")
    images = list_images(db, tenant, job_id, limit=1000, after=None)
    token, leased = lease_images(db, [image.id for image in images], worker="test", lease_s=60)
    outcomes = []
    for number, image in enumerate(leased):
        key = f"t/{tenant}/jobs/{job_id}/results/{image.id}.png"
        if number >= len(leased) - failing:
            outcomes.append(
                Outcome(image_id=image.id, state=ImageState.FAILED, error_code="image_truncated", error_detail="Ends.")
            )
            continue
        service.stores.blobs.put(key, f"clean {number}".encode(), content_type="image/png")
        record = ImageRecord(sha256=FileHashes(result="ab" * 32))
        outcomes.append(
            Outcome(image_id=image.id, state=ImageState.SUCCEEDED, result_key=key, width=24, height=16, record=record)
        )
    finish_images(db, token, outcomes, max_attempts=1)
    close_jobs(db)


def lines(shop: Caller, path: str) -> list[dict[str, Any]]:
    answer = shop.get(path)
    assert answer.mimetype == "application/jsonl"
    return [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]


def test_results_and_errors_are_listed_with_the_tenants_own_ids(make_service: MakeService, settings: Settings) -> None:
    service = make_service(settings)
    shop = service.caller("shop")
    uploads = shop.post(
        "/v1/uploads", 201, json={"files": [{"filename": n, "content_type": "image/jpeg"} for n in [*NAMES, "m.png"]]}
    ).json["uploads"]
    images = [{"upload_id": upload["id"], "custom_id": f"sku {n}"} for n, upload in enumerate(uploads[:-1])]
    body = {"images": images, "mask_upload_id": uploads[-1]["id"]}
    job = shop.post("/v1/jobs", 202, json=body).json
    assert lines(shop, job["links"]["results"]) == lines(shop, job["links"]["errors"]) == []
    end(service, job["id"], failing=1)
    results = lines(shop, job["links"]["results"])
    assert [next(iter(line)) for line in results] == ["custom_id"] * 3
    assert [(line["custom_id"], line["name"], line["position"], line["sha256"]) for line in results] == [
        (f"sku {n}", NAMES[n], n, "ab" * 32) for n in range(3)
    ]
    assert shop.get(results[0]["result_url"], 302).headers["Location"]
    (error,) = lines(shop, job["links"]["errors"])
    assert (error["custom_id"], error["name"], error["error"]) == (
        "sku 3",
        "Größe.jpg",
        {"code": "image_truncated", "detail": "Ends."},
    )

    answer = shop.get(job["links"]["archive"])
    assert answer.mimetype == "application/zip"
    assert job["id"] in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.get_data())) as archive:
        assert archive.testzip() is None
        # All results are PNG, and names are unique even without case.
        assert archive.namelist() == ["a.png", "a (2).png", "A (3).png", "manifest.jsonl"]
        assert [archive.read(name) for name in archive.namelist()[:3]] == [b"clean 0", b"clean 1", b"clean 2"]
        manifest = [json.loads(line) for line in archive.read("manifest.jsonl").splitlines()]
    assert [(line["file"], line["custom_id"], line["state"], line["code"]) for line in manifest] == [
        ("a.png", "sku 0", "succeeded", None),
        ("a (2).png", "sku 1", "succeeded", None),
        ("A (3).png", "sku 2", "succeeded", None),
        (None, "sku 3", "failed", "image_truncated"),
    ]


def test_folders_come_back_in_lists_and_in_a_zip_that_every_system_unpacks(service: Service, shop: Caller) -> None:
    paths = ["w/s/front.jpg", "W/s/front.jpg", "con.jpg", "a: b/..c?.jpg", "/x//y.jpg", "d.png/e.jpg"]
    *images, marks = shop.upload(*[("f.jpg", picture()) for _ in paths], ("mask.png", mask()))
    body = {
        "images": [{"upload_id": image, "path": path} for image, path in zip(images, paths, strict=True)],
        "mask_upload_id": marks,
    }
    job = shop.post("/v1/jobs", 202, json=body).json
    end(service, job["id"])
    kept = ["w/s/front.jpg", "W/s/front.jpg", "con.jpg", "a_ b/..c?.jpg", "x/y.jpg", "d.png/e.jpg"]
    assert [image["path"] for image in shop.get(job["links"]["images"]).json["data"]] == kept
    assert [line["path"] for line in lines(shop, job["links"]["results"])] == kept
    with zipfile.ZipFile(io.BytesIO(shop.get(job["links"]["archive"]).get_data())) as archive:
        assert archive.namelist() == [
            "w/s/front.png", "w/s/front (2).png", "_con.png", "a_ b/..c_.png", "x/y.png", "d.png/e.png",
            "manifest.jsonl",
        ]  # fmt: skip
    body = {"images": [{"upload_id": images[0], "path": "a/../b.jpg"}], "mask_upload_id": marks}
    problem = shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=body)
    assert problem["errors"][0]["pointer"] == "#/images/0/path"


def test_a_zip_can_be_continued_from_any_byte(service: Service, shop: Caller) -> None:
    job = submit(shop, NAMES)
    end(service, job["id"])
    path = job["links"]["archive"]
    answer = shop.get(path)
    whole, tag = answer.get_data(), answer.headers["ETag"]
    assert answer.headers["Content-Length"] == str(len(whole))
    assert answer.headers["Accept-Ranges"] == "bytes"
    for start in (0, 1, 29, 40, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        part = shop.get(path, 206, headers={"Range": f"bytes={start}-", "If-Range": tag})
        assert part.get_data() == whole[start:]
        assert part.headers["Content-Range"] == f"bytes {start}-{len(whole) - 1}/{len(whole)}"
    middle = shop.get(path, 206, headers={"Range": "bytes=35-90"})
    assert middle.get_data() == whole[35:91]
    assert shop.get(path, headers={"Range": "bytes=1-", "If-Range": '"other"'}).get_data() == whole
    assert shop.get(path, 304, headers={"If-None-Match": tag}).get_data() == b""
    shop.problem("GET", path, 416, "range_unsatisfiable", headers={"Range": f"bytes={len(whole)}-"})


def test_more_images_than_a_page_are_all_in_the_manifest(service: Service, shop: Caller) -> None:
    image, marks = shop.upload(("a.jpg", picture()), ("mask.png", mask()))
    body = {"images": [{"upload_id": image}] * 1001, "mask_upload_id": marks}
    job = shop.post("/v1/jobs", 202, json=body).json
    db = service.stores.database
    ids = [image.id for image in list_images(db, service.tenant("shop"), job["id"], limit=2000, after=None)]
    token, _ = lease_images(db, ids, worker="test", lease_s=60)
    failed = [Outcome(image_id=i, state=ImageState.FAILED, error_code="x", error_detail="y") for i in ids]
    finish_images(db, token, failed, max_attempts=1)
    assert [line["position"] for line in lines(shop, job["links"]["errors"])] == list(range(1001))


def test_a_zip_of_a_job_under_way_is_refused(shop: Caller) -> None:
    job = submit(shop, ["a.jpg"])
    shop.problem("GET", job["links"]["archive"], 409, "job_not_finished")
    shop.post(f"/v1/jobs/{job['id']}/cancel", 200)
    with zipfile.ZipFile(io.BytesIO(shop.get(job["links"]["archive"]).get_data())) as archive:
        assert archive.namelist() == ["manifest.jsonl"]


def test_failed_images_are_tried_again(service: Service, shop: Caller) -> None:
    job = submit(shop, NAMES)
    end(service, job["id"], failing=2)
    again = shop.post(f"/v1/jobs/{job['id']}/retry", 200).json
    assert (again["state"], again["counts"]["queued"], again["counts"]["succeeded"]) == ("running", 2, 2)
    end(service, job["id"])
    assert shop.get(job["links"]["self"]).json["counts"]["succeeded"] == 4


def test_a_canceled_job_is_not_retried(shop: Caller) -> None:
    job = submit(shop, ["a.jpg"])
    shop.post(f"/v1/jobs/{job['id']}/cancel", 200)
    shop.problem("POST", f"/v1/jobs/{job['id']}/retry", 409, "job_canceled")


def test_a_deleted_job_is_gone(service: Service, shop: Caller) -> None:
    job = submit(shop, ["a.jpg"])
    image = shop.get(job["links"]["images"]).json["data"][0]
    end(service, job["id"])
    shop("DELETE", job["links"]["self"], status=204)
    for path in (*job["links"].values(), f"/v1/images/{image['id']}", image["result_url"] or job["links"]["self"]):
        shop.problem("GET", path, 404, "not_found")
    shop.problem("DELETE", job["links"]["self"], 404, "not_found")
    assert shop.get("/v1/jobs").json["data"] == []


@pytest.mark.parametrize(("days", "kept_days"), [(None, 30), (7, 7)])
def test_a_job_says_when_it_will_be_deleted(service: Service, shop: Caller, days: int | None, kept_days: int) -> None:
    fields = {} if days is None else {"retention_days": days}
    job = submit(shop, ["a.jpg"], **fields)
    assert job["expires_at"] is None
    end(service, job["id"])
    done = shop.get(job["links"]["self"]).json
    assert done["expires_at"][:10] > done["finished_at"][:10]
    retention_s = service.stores.settings.retention_s(days)
    assert retention_s == kept_days * 24 * 3600


@pytest.mark.parametrize("days", [0, -1, 3651, "x"])
def test_a_retention_out_of_range_is_refused(shop: Caller, days: object) -> None:
    body = {"images": [{"upload_id": "upl_1"}], "mask_upload_id": "upl_2", "retention_days": days}
    problem = shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=body)
    assert problem["errors"][0]["pointer"] == "#/retention_days"


def test_jobs_are_listed_by_state(service: Service, shop: Caller) -> None:
    done, waiting = submit(shop, ["a.jpg"]), submit(shop, ["b.jpg"])
    end(service, done["id"])
    for state, expected in (("completed", [done["id"]]), ("queued", [waiting["id"]]), ("canceled", [])):
        assert [job["id"] for job in shop.get(f"/v1/jobs?state={state}").json["data"]] == expected
    shop.problem("GET", "/v1/jobs?state=lost", 422, "validation_failed")


@pytest.mark.parametrize("ends", ["revoked", "left"])
def test_an_archive_ends_with_its_key_and_with_its_client(
    make_service: MakeService, embedded_settings: Settings, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(sys.modules[DownloadEnded.__module__], "RECHECK_S", 0.0)
    service = make_service(embedded_settings)
    shop, client = service.caller(), service.app.test_client()
    job = shop.submit(3)
    service.succeed(job["id"], b"x" * 3_000_000)
    close_jobs(service.stores.database)
    left: list[bool] = []
    answer = client.get(
        f"/v1/jobs/{job['id']}/archive",
        headers=shop.headers,
        environ_base={"waitress.client_disconnected": lambda: bool(left)},
    )
    pieces = answer.iter_encoded()
    assert next(pieces)
    if ends == "left":
        left.append(True)
    else:
        for key in list_keys(service.stores.database):
            revoke_key(service.stores.database, key.id)
    with pytest.raises(DownloadEnded):
        b"".join(pieces)
    answer.close()
