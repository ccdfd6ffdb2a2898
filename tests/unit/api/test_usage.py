"""Usage by day over the API: as JSON, as CSV, and through the client."""

from __future__ import annotations

import csv
import io

from cleanplate.client.answers import UsageAnswer
from storage.ledger.tenants.accounts import today
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
