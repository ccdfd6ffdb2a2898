"""Results that a person judges, and jobs that do them again."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from pydantic import SecretStr

from cleanplate.base.image_records import ImageRecord
from cleanplate.base.settings import Settings
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.webhooks.relay import relay_events
from storage.records import ImageState, Outcome
from tests.unit.api.calling import Caller, MakeService, Service, mask


@pytest.fixture
def service(make_service: MakeService, embedded_settings: Settings, database_url: str) -> Service:
    """The API on both databases, with files in a directory."""
    return make_service(embedded_settings.model_copy(update={"database_url": SecretStr(database_url)}))


def ended(service: Service, shop: Caller, count: int = 3, **fields: Any) -> dict[str, Any]:
    job = shop.submit(count, **fields)
    service.succeed(job["id"], b"first try")
    close_jobs(service.stores.database)
    return job


def images_of(shop: Caller, job: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.get(job["links"]["images"] + query).json["data"]
    return found


def results_of(shop: Caller, job: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shop.get(job["links"]["results"]).get_data().splitlines()]


def test_results_are_listed_by_doubt_page_by_page(service: Service) -> None:
    shop = service.caller()
    job = shop.submit(7)
    records = [
        ImageRecord(masked_share=0.1),
        ImageRecord(masked_share=0.3, recovered=0.9),
        ImageRecord(masked_share=0.02, ghost=0.2),
        ImageRecord(residual_mark=True, ghost=0.1),
        ImageRecord(residual_mark=True, ghost=0.4, masked_share=0.01),
        ImageRecord(),
        ImageRecord(masked_share=0.1),
    ]
    database, ids = service.stores.database, [image["id"] for image in images_of(shop, job)]
    token, _ = lease_images(database, ids, worker="test", lease_s=60)
    result: dict[str, Any] = {"state": ImageState.SUCCEEDED, "result_key": "t/key", "content_type": "image/png"}
    outcomes = [
        Outcome(image_id=image_id, record=record, **result) for image_id, record in zip(ids, records, strict=True)
    ]
    finish_images(database, token, outcomes, max_attempts=1)
    expected = [4, 3, 2, 0, 6, 1, 5]
    for limit in (1, 3, 100):
        listed: list[int] = []
        cursor = ""
        while True:
            query = f"?state=succeeded&order=doubt&limit={limit}{cursor}"
            page = shop.get(job["links"]["images"] + query).json
            listed += [image["position"] for image in page["data"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert listed == expected
    of_positions = shop.get(job["links"]["images"] + "?limit=1").json["next_cursor"]
    shop.problem("GET", f"{job['links']['images']}?order=doubt&cursor={of_positions}", 422, "cursor_invalid")


def test_what_a_person_rejects_is_done_again_and_replaces_what_was_there(service: Service, shop: Caller) -> None:
    shop = service.caller()
    job = ended(service, shop, name="Spring", labels=["spring"], options={"dilation_px": 4})
    first, second, third = images_of(shop, job)
    assert {image["review"] for image in (first, second, third)} == {"unseen"}
    path = f"/v1/images/{second['id']}"
    judged = shop("PATCH", path, status=200, json={"review": "rejected", "note": "The collar."}).json
    assert (judged["review"], judged["review_note"]) == ("rejected", "The collar.")
    kept = {"images": [first["id"], third["id"]], "review": "kept"}
    assert shop.post(f"/v1/jobs/{job['id']}/review", 200, json=kept).json == {"changed": 2}
    assert [image["id"] for image in images_of(shop, job, "?review=rejected")] == [second["id"]]

    (better,) = shop.upload(("better.png", mask()))
    redo = {"mask_upload_id": better, "options": {"feather_px": 2}}
    answer = shop.post(f"/v1/jobs/{job['id']}/redo", 202, json=redo)
    child = answer.json
    assert answer.headers["Location"] == child["links"]["self"]
    assert (child["parent_job_id"], child["replaces"], child["total"]) == (job["id"], True, 1)
    assert (child["name"], child["labels"], child["rights"]) == ("Spring", ["spring"], job["rights"])
    assert (child["options"]["dilation_px"], child["options"]["feather_px"]) == (4, 2)
    (again,) = images_of(shop, child)
    assert (again["redo_of"], again["name"]) == (second["id"], second["name"])
    _, (leased,) = lease_images(service.stores.database, [again["id"]], worker="test", lease_s=0)
    assert leased.mask_key.endswith(better)
    # Until it has succeeded the first try counts.
    assert [line["replaced_by"] for line in results_of(shop, job)] == [None] * 3


def test_a_replacement_is_in_results_and_zip_also_over_two_generations(service: Service) -> None:
    shop = service.caller()
    job = ended(service, shop, 2)
    _, second = images_of(shop, job)
    parent, last = job, second
    for data in (b"second try", b"third try"):
        child = shop.post(f"/v1/jobs/{parent['id']}/redo", 202, json={"images": [last["id"]]}).json
        service.succeed(child["id"], data)
        close_jobs(service.stores.database)
        (last,) = images_of(shop, child)
        parent = child
    assert [line["replaced_by"] for line in results_of(shop, job)] == [None, last["id"]]
    assert shop.get(f"/v1/images/{second['id']}").json["replaced_by"] == last["id"]
    with zipfile.ZipFile(io.BytesIO(shop.get(job["links"]["archive"]).get_data())) as archive:
        names = archive.namelist()[:2]
        assert [archive.read(name) for name in names] == [b"first try", b"third try"]
        manifest = [json.loads(line) for line in archive.read("manifest.jsonl").splitlines()]
    assert [line["replaced_by"] for line in manifest] == [None, last["id"]]
    shop("DELETE", child["links"]["self"], status=204)
    assert results_of(shop, job)[1]["replaced_by"] != last["id"]


def test_results_may_stand_beside_and_a_failure_replaces_nothing(service: Service) -> None:
    shop = service.caller()
    job = ended(service, shop, 2)
    beside = shop.post(f"/v1/jobs/{job['id']}/redo", 202, json={"state": "succeeded", "replace": False}).json
    service.succeed(beside["id"], b"beside")
    failing = shop.post(f"/v1/jobs/{job['id']}/redo", 202, json={"state": "succeeded"}).json
    service.finish(failing["id"], state=ImageState.FAILED, error_code="image_truncated", error_detail="Short.")
    assert [line["replaced_by"] for line in results_of(shop, job)] == [None, None]


def test_a_redo_is_told_to_the_jobs_webhook(service: Service) -> None:
    shop = service.caller()
    webhook = shop.post("/v1/webhooks", 201, json={"url": "https://shop.example/hook", "events": ["*"]}).json["id"]
    job = ended(service, shop, 1, webhook_id=webhook)
    (image,) = images_of(shop, job)
    child = shop.post(f"/v1/jobs/{job['id']}/redo", 202, json={"images": [image["id"]]}).json
    service.succeed(child["id"], b"again")
    relay_events(service.stores.database)
    (delivery,) = shop.get(f"/v1/webhooks/{webhook}/deliveries?job_id={child['id']}&event=image.succeeded").json["data"]
    assert delivery["payload"]["data"]["redo_of"] == image["id"]


def test_what_cannot_be_done_again_is_refused(service: Service) -> None:
    shop, rival = service.caller(), service.caller("rival")
    job = ended(service, shop, 1)
    path = f"/v1/jobs/{job['id']}"
    (image,) = images_of(shop, job)
    other = shop.submit(1)
    shop.problem("POST", f"{path}/redo", 409, "nothing_to_redo", json={})
    shop.problem("POST", f"/v1/jobs/{other['id']}/redo", 409, "job_not_finished", json={"state": "queued"})
    foreign = {"images": [images_of(shop, other)[0]["id"]]}
    shop.problem("POST", f"{path}/redo", 404, "not_found", json=foreign)
    assert shop.post(f"{path}/review", 200, json={**foreign, "review": "kept"}).json == {"changed": 0}
    shop.problem("POST", f"{path}/redo", 422, "validation_failed", json={"state": "failed", "review": "kept"})
    unknown = {"images": [image["id"]], "mask_upload_id": "upl_0"}
    shop.problem("POST", f"{path}/redo", 422, "upload_unknown", json=unknown)
    shop.problem("POST", f"{path}/redo", 422, "webhook_unknown", json={"state": "succeeded", "webhook_id": "whe_0"})
    for method, place, body in (
        ("POST", f"{path}/redo", {"images": [image["id"]]}),
        ("POST", f"{path}/review", {"images": [image["id"]], "review": "kept"}),
        ("PATCH", f"/v1/images/{image['id']}", {"review": "kept"}),
    ):
        rival.problem(method, place, 404, "not_found", json=body)
    assert images_of(shop, job)[0]["review"] == "unseen"
