"""Usage by day over the API: as JSON, as CSV, and through the client."""

from __future__ import annotations

import csv
import io

from cleanplate.client.answers import UsageAnswer
from storage.ledger.operations.audit import chain, chained_entries
from storage.ledger.retention.deletion import delete_job
from storage.ledger.tenants.accounts import today
from storage.records import ImageState
from tests.unit.api.calling import Caller, Service


def test_usage_is_the_work_on_images_with_a_result(service: Service, shop: Caller) -> None:
    job = shop.submit(2)
    service.succeed(job["id"])
    day = today(service.stores.database).isoformat()
    usage = shop.get("/v1/usage").json
    assert usage["until"] == day
    work = {"images": 2, "megapixels": 0.000768, "bytes": 0, "device_seconds": 0.0}
    assert usage["data"] == [{"day": day, **work}]
    assert usage["total"] == work
    assert UsageAnswer.model_validate(usage).data[0].images == 2
    assert service.caller("rival").get("/v1/usage").json["data"] == []


def test_days_outside_the_question_are_left_out(service: Service, shop: Caller) -> None:
    service.succeed(shop.submit(1)["id"])
    assert shop.get("/v1/usage?since=2020-01-01&until=2020-12-31").json["data"] == []
    assert shop.get("/v1/usage?until=0001-01-05").json["since"] == "0001-01-01"
    shop.problem("GET", "/v1/usage?since=yesterday", 422, "validation_failed")


def test_usage_as_csv(service: Service, shop: Caller) -> None:
    service.succeed(shop.submit(2)["id"])
    answer = shop.get("/v1/usage.csv")
    assert answer.mimetype == "text/csv"
    day = today(service.stores.database).isoformat()
    assert list(csv.reader(io.StringIO(answer.text))) == [
        ["day", "images", "megapixels", "bytes", "device_seconds"],
        [day, "2", "0.000768", "0", "0.0"],
    ]


def test_usage_is_the_sum_of_the_audit_log_also_of_jobs_that_were_deleted(service: Service, shop: Caller) -> None:
    kept, deleted, failed = shop.submit(2)["id"], shop.submit(1)["id"], shop.submit(1)["id"]
    service.succeed(kept)
    service.succeed(deleted)
    service.finish(failed, state=ImageState.FAILED, error_code="image_truncated", error_detail="It ends early.")
    delete_job(service.stores.database, service.tenant("shop"), deleted)
    chain(service.stores.database)
    logged = [entry.data["work"] for entry in chained_entries(service.stores.database) if "work" in entry.data]
    total = {kind: sum(work[kind] for work in logged) for kind in ("images", "pixels", "bytes", "device_ms")}
    assert total["images"] == 3
    assert shop.get("/v1/usage").json["total"] == {
        "images": total["images"],
        "megapixels": total["pixels"] / 1e6,
        "bytes": total["bytes"],
        "device_seconds": total["device_ms"] / 1000,
    }
