"""Jobs and images that a person finds again: names, labels, metadata, filters, order; repairs of the page."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from pydantic import SecretStr

from cleanplate.base.image_records import FileHashes, ImageRecord
from cleanplate.base.settings import Settings
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.records import ImageState
from tests.running import REPOSITORY
from tests.unit.api.calling import Caller, MakeService, Service, mask, picture


def listed(shop: Caller, path: str = "/v1/jobs", **query: Any) -> list[str]:
    """Names of the jobs, or the images, that a list shows, page by page."""
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = shop.get(f"{path}?{urlencode({**query, **cursor, 'limit': 2})}").json
        names += [one["name"] for one in page["data"]]
        if page["next_cursor"] is None:
            return names
        cursor = {"cursor": page["next_cursor"]}


@pytest.fixture
def found_service(make_service: MakeService, embedded_settings: Settings, database_url: str) -> Service:
    """The API on both databases, with files in a directory."""
    return make_service(embedded_settings.model_copy(update={"database_url": SecretStr(database_url)}))


def test_a_job_keeps_its_name_labels_and_metadata_and_is_listed_by_them(found_service: Service) -> None:
    shop = found_service.caller()
    spring = {"name": "Spring 100% shirts", "labels": ["spring", "web"], "metadata": {"season": "spring", "by.n": "7"}}
    job = shop.submit(1, **spring)
    shop.submit(1, name="Autumn shoes", labels=["autumn"], metadata={"season": "autumn"})
    shop.submit(1)
    assert {key: job[key] for key in spring} == spring
    assert listed(shop, label="spring") == [spring["name"]]
    assert listed(shop, label="spring,web") == [spring["name"]]
    assert listed(shop, label="spring,autumn") == []
    assert listed(shop, label="spr") == []
    assert listed(shop, metadata=json.dumps({"season": "autumn"})) == ["Autumn shoes"]
    assert listed(shop, metadata=json.dumps({"season": "spring", "by.n": "7"})) == [spring["name"]]
    assert listed(shop, metadata=json.dumps({"season": "spring", "by": "7"})) == []
    assert listed(shop, q="SHIRTS spring") == [spring["name"]]
    assert listed(shop, q="0%") == [spring["name"]]
    assert listed(shop, q="0_") == []
    assert listed(shop, order="oldest") == [spring["name"], "Autumn shoes", None]
    assert listed(shop) == [None, "Autumn shoes", spring["name"]]
    assert found_service.caller("rival").get("/v1/jobs?label=spring").json["data"] == []


def test_a_job_is_listed_by_time_key_and_webhook(found_service: Service) -> None:
    shop, other_key = found_service.caller(), found_service.caller()
    webhook = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json["id"]
    old = shop.submit(1, name="old")
    new = other_key.submit(1, name="new", webhook_id=webhook)
    assert old["key_id"] != new["key_id"]
    assert listed(shop, key_id=old["key_id"]) == ["old"]
    assert listed(shop, webhook_id=webhook) == ["new"]
    assert listed(shop, created_after=new["created_at"]) == ["new"]
    assert listed(shop, created_before=new["created_at"]) == ["old"]
    shop.problem("GET", "/v1/jobs?created_after=2026-05-01T00:00:00", 422, "validation_failed")
    shop.problem("GET", "/v1/jobs?metadata=season", 422, "validation_failed")


def test_repairs_of_the_page_are_no_jobs_of_the_catalogue(found_service: Service) -> None:
    shop = found_service.caller()
    shop.submit(1, name="erased by hand", kind="repair")
    shop.submit(1, name="catalogue")
    assert listed(shop) == ["catalogue"]
    assert listed(shop, kind="repair") == ["erased by hand"]
    assert listed(shop, kind="any") == ["catalogue", "erased by hand"]
    assert listed(shop, "/v1/images") == ["shirt-0.jpg"]


def test_a_job_can_be_renamed_and_only_what_is_named_changes(found_service: Service) -> None:
    shop = found_service.caller()
    job = shop.submit(1, name="first", labels=["spring"], metadata={"a": "b"})
    path = f"/v1/jobs/{job['id']}"
    changed = shop("PATCH", path, status=200, json={"name": "second"}).json
    assert (changed["name"], changed["labels"], changed["metadata"]) == ("second", ["spring"], {"a": "b"})
    changed = shop("PATCH", path, status=200, json={"labels": [], "metadata": {}}).json
    assert (changed["name"], changed["labels"], changed["metadata"]) == ("second", [], {})
    found_service.caller("rival").problem("PATCH", path, 404, "not_found", json={"name": "mine"})
    assert shop.get(path).json["name"] == "second"


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("metadata", {f"key-{n}": "" for n in range(17)}, "#/metadata"),
        ("metadata", {"a b": "c"}, "#/metadata/a b"),
        ("metadata", {"a": "c" * 501}, "#/metadata/a"),
        ("metadata", {"a": 1}, "#/metadata/a"),
        ("labels", ["a,b"], "#/labels/0"),
        ("labels", [str(n) for n in range(17)], "#/labels"),
        ("name", " ", "#/name"),
        ("kind", "any", "#/kind"),
    ],
)
def test_names_that_no_list_could_filter_by_are_refused(shop: Caller, field: str, value: Any, place: str) -> None:
    body = {"images": [{"upload_id": "upl_1"}], "mask_upload_id": "upl_2", field: value}
    problem = shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=body)
    assert problem["errors"][0]["pointer"].startswith(place)


def test_a_form_names_its_job_too(shop: Caller) -> None:
    import io

    form = {
        "images": (io.BytesIO(picture()), "a.jpg"),
        "mask": (io.BytesIO(mask()), "mask.png"),
        "name": "By form",
        "labels": "spring, web",
        "metadata": '{"season": "spring"}',
    }
    job = shop.post("/v1/jobs", 202, data=form).json
    assert (job["name"], job["labels"], job["metadata"]) == ("By form", ["spring", "web"], {"season": "spring"})


def test_a_manifest_has_metadata_in_a_column_for_each_key(shop: Caller) -> None:
    image, marks = shop.upload(("a.jpg", picture()), ("m.png", mask()))
    rows = f'upload_id,custom_id,metadata,metadata.size\n{image},sku-1,"{{""colour"": ""teal""}}",XL\n'
    job = shop.submit_manifest(rows, mask_upload_id=marks, name="listed")
    (one,) = shop.get(job["links"]["images"]).json["data"]
    assert (job["name"], one["metadata"]) == ("listed", {"colour": "teal", "size": "XL"})


def test_images_are_found_in_all_jobs_by_what_a_person_knows_of_them(found_service: Service) -> None:
    """Which job made this file; all failed ones of the spring job; where is this product."""
    shop = found_service.caller()
    uploads = shop.upload(*[(f"{name}.jpg", picture()) for name in ("shirt", "shoe", "hat")], ("m.png", mask()))
    images = [
        {"upload_id": upload, "custom_id": f"sku-{number}", "metadata": {"row": str(number)}}
        for number, upload in enumerate(uploads[:3])
    ]
    body = {"images": images, "mask_upload_id": uploads[3]}
    spring = shop.post("/v1/jobs", 202, json={**body, "name": "Spring", "labels": ["spring"]}).json
    autumn = shop.post("/v1/jobs", 202, json={**body, "name": "Autumn"}).json
    file = hashlib.sha256(b"clean").hexdigest()
    found_service.finish(spring["id"], state=ImageState.FAILED, error_code="image_truncated", error_detail="Short.")
    key = f"t/{found_service.tenant('shop')}/jobs/{autumn['id']}/results/img.jpg"
    found_service.stores.blobs.put(key, b"clean", content_type="image/jpeg")
    found_service.finish(
        autumn["id"],
        state=ImageState.SUCCEEDED,
        result_key=key,
        content_type="image/jpeg",
        width=1,
        height=1,
        record=ImageRecord(sha256=FileHashes(result=file)),
    )

    def jobs_of(**query: Any) -> list[tuple[str, int]]:
        data = shop.get(f"/v1/images?{urlencode(query)}").json["data"]
        return [({spring["id"]: "spring", autumn["id"]: "autumn"}[one["job_id"]], one["position"]) for one in data]

    assert jobs_of(sha256=file) == [("autumn", 0), ("autumn", 1), ("autumn", 2)]
    assert jobs_of(sha256="0" * 64) == []
    assert jobs_of(custom_id="sku-1") == [("autumn", 1), ("spring", 1)]
    assert jobs_of(custom_id="sku-1", state="failed") == [("spring", 1)]
    assert jobs_of(state="failed", job_label="spring", created_after=spring["created_at"]) == [
        ("spring", 0), ("spring", 1), ("spring", 2),
    ]  # fmt: skip
    assert jobs_of(state="failed", job_q="autumn") == []
    assert jobs_of(error_code="image_truncated", q="shoe") == [("spring", 1)]
    assert jobs_of(metadata=json.dumps({"row": "2"})) == [("autumn", 2), ("spring", 2)]
    assert listed(shop, "/v1/images") == ["shirt.jpg", "shoe.jpg", "hat.jpg"] * 2
    assert listed(shop, "/v1/images", custom_id="sku-0") == ["shirt.jpg"] * 2
    assert found_service.caller("rival").get(f"/v1/images?sha256={file}").json["data"] == []
    shop.problem("GET", "/v1/images?cursor=am9iOmpvYl8x", 422, "cursor_invalid")


def test_each_question_of_the_documents_is_one_call(found_service: Service) -> None:
    shop, other_key = found_service.caller(), found_service.caller()
    hook = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook"}).json["id"]
    uploads = shop.upload(("front.jpg", picture()), ("back.jpg", picture()), ("m.png", mask()))

    def submit(caller: Caller, **fields: Any) -> dict[str, Any]:
        images = [
            {"upload_id": upload, "custom_id": f"sku-4711-{side}"}
            for upload, side in zip(uploads, ("front", "back"), strict=False)
        ]
        body = {"images": images, "mask_upload_id": uploads[2], **fields}
        job: dict[str, Any] = caller.post("/v1/jobs", 202, json=body).json
        return job

    def end(job: dict[str, Any], **outcome: Any) -> None:
        found_service.finish(job["id"], **outcome)

    spring = submit(
        shop, name="Spring shirts", labels=["spring", "web"], metadata={"season": "2026-spring"}, webhook_id=hook
    )
    end(spring, state=ImageState.FAILED, error_code="image_truncated", error_detail="Short.")
    autumn = submit(other_key, name="Autumn", labels=["web"])
    key = f"t/{found_service.tenant('shop')}/jobs/{autumn['id']}/results/img.jpg"
    found_service.stores.blobs.put(key, b"test", content_type="image/jpeg")
    file = hashlib.sha256(b"test").hexdigest()
    end(
        autumn,
        state=ImageState.SUCCEEDED,
        result_key=key,
        content_type="image/jpeg",
        width=1,
        height=1,
        record=ImageRecord(sha256=FileHashes(result=file)),
    )
    submit(shop, name="By hand", kind="repair")
    open_job = submit(shop, name="Open")
    close_jobs(found_service.stores.database)
    lease_images(found_service.stores.database, image_ids(shop, open_job)[:1], worker="test", lease_s=60)
    first_of_spring, _ = image_ids(shop, spring)
    shop("PATCH", f"/v1/images/{first_of_spring}", status=200, json={"review": "rejected"})

    both = ["front.jpg", "back.jpg"]
    answers: dict[str, Any] = {
        "jobs by name": ["Spring shirts"],
        "jobs with both labels": ["Spring shirts"],
        "jobs by metadata": ["Spring shirts"],
        "jobs since a day, the oldest first": ["Spring shirts", "Autumn", "Open"],
        "jobs of one key": ["Autumn"],
        "jobs that one webhook hears of": ["Spring shirts"],
        "jobs that still run": ["Open"],
        "repairs made by hand on the page": ["By hand"],
        "a job's failed images of one reason": both,
        "a job's rejected images": ["front.jpg"],
        "why a job's images failed, counted": [{"code": "image_truncated", "count": 2, "detail": "Short."}],
        "where one product was cleaned": ["front.jpg"] * 3,
        "which job made this file": both,
        "all failures of last week's spring jobs": both,
    }
    rows = (REPOSITORY / "docs" / "api.md").read_text().partition("| question | call |")[2].partition("\n\n")[0]
    questions = dict(re.findall(r"^\| ([^|]+) \| `GET ([^`]+)`", rows, re.MULTILINE))
    assert questions.keys() == answers.keys()
    names = {"{id}": spring["id"], "key_…": autumn["key_id"], "whe_…": hook, "9f86d081…": file}
    for question, documented in questions.items():
        call = re.sub("|".join(map(re.escape, names)), lambda name: names[name[0]], documented)
        path, _, query = call.partition("?")
        body = shop.get(f"{path}?{quote(query, safe='=&+')}" if query else path).json
        found = body["reasons"] if path.endswith("/overview") else [one["name"] for one in body["data"]]
        assert found == answers[question], question
    (one,) = {image["job_id"] for image in shop.get(f"/v1/images?sha256={file}").json["data"]}
    assert one == autumn["id"]


def image_ids(shop: Caller, job: dict[str, Any]) -> list[str]:
    return [image["id"] for image in shop.get(job["links"]["images"]).json["data"]]


def test_a_search_without_an_index_goes_on_where_one_call_ends(
    found_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.ledger.jobs.reading.MOST_READ", 2)
    shop = found_service.caller()
    for name in ("first", "second", "third"):
        shop.submit(2, name=name)
    page = shop.get("/v1/images?q=shirt-1&job_q=first").json
    assert len(page["data"]) == 1
    assert listed(shop, "/v1/images", q="shirt-1") == ["shirt-1.jpg"] * 3
    assert listed(shop, "/v1/images", q="no such") == []
