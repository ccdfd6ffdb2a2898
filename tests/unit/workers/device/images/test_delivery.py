"""From a prefix of a shop's bucket into another, with a real S3 server, API and worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from cleanplate.base.destinations import Destination
from cleanplate.base.settings import Settings
from storage.ledger.images.reaper import close_jobs
from storage.ledger.tenants.quotas import set_quota
from storage.records import Quota
from tests.catalogue import picture, png
from tests.unit.api.calling import Service
from tests.unit.workers.conftest import WorkerOn
from workers.device.images.pipeline import run_shard

MASK = {"boxes": [[0.3, 0.3, 0.2, 0.2]], "units": "relative"}
KEYS = ["spring/catalog/product/w/s/front.png", "spring/a.PNG", "spring/Größe 1.png"]


class Bucket:
    """A bucket of the shop."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.blobs_url.removeprefix("s3://") + "-shop"
        self.s3 = boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=settings.s3_access_key_id.get_secret_value(),
            aws_secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        )
        self.s3.create_bucket(Bucket=self.name)

    def put(self, key: str, data: bytes) -> None:
        self.s3.put_object(Bucket=self.name, Key=key, Body=data)

    def keys(self, prefix: str = "") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.name, Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in found]


@pytest.fixture
def bucket(server_settings: Settings) -> Bucket:
    bucket = Bucket(server_settings)
    for number, key in enumerate(KEYS):
        bucket.put(key, png(picture(number)))
    bucket.put("spring/notes.txt", b"no picture")
    return bucket


@pytest.fixture
def settings(server_settings: Settings, bucket: Bucket) -> Settings:
    return server_settings.model_copy(
        update={"source_buckets": (f"{bucket.name}/spring",), "destination_buckets": (f"{bucket.name}/spring",)}
    )


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    service = Service(settings)
    yield service
    service.stores.close()


def body(bucket: Bucket, **fields: Any) -> dict[str, Any]:
    url = f"s3://{bucket.name}/spring/"
    return {"source": url, "destination": f"{url}clean/{{path}}", "mask": MASK, **fields}


def test_one_call_cleans_a_prefix_into_another_under_the_same_paths(
    service: Service, settings: Settings, bucket: Bucket, worker_on: WorkerOn
) -> None:
    shop = service.caller()
    bucket.put("spring/clean/of-before.png", b"a result of before")
    url = f"s3://{bucket.name}/spring/clean/{{path}}"
    destination = {"url": url, "cache_control": "max-age=60", "metadata": {"origin": "clean"}}
    job = shop.post("/v1/jobs", 202, json=body(bucket, destination=destination)).json
    assert (job["total"], job["rows_skipped"], job["destination"]) == (3, 2, destination)
    skipped = [json.loads(line) for line in shop.get(job["links"]["skipped"]).get_data().splitlines()]
    assert [(line["code"], line["line"]) for line in skipped] == [("in_destination", 4), ("not_a_picture", 5)]
    # The probe is gone.
    assert bucket.keys("spring/clean/") == ["spring/clean/of-before.png"]
    work_off(service, job, settings, worker_on)
    paths = [key.removeprefix("spring/") for key in sorted(KEYS)]
    results = [json.loads(line) for line in shop.get(job["links"]["results"]).get_data().splitlines()]
    assert sorted(line["path"] for line in results) == sorted(paths)
    written = {key for key in bucket.keys("spring/clean/") if not key.endswith("of-before.png")}
    assert written == {f"spring/clean/{path}" for path in paths}
    assert {line["destination_url"] for line in results} == {f"s3://{bucket.name}/{key}" for key in written}
    head = bucket.s3.head_object(Bucket=bucket.name, Key="spring/clean/a.PNG")
    source = bucket.s3.head_object(Bucket=bucket.name, Key="spring/a.PNG")
    assert (head["ContentType"], head["CacheControl"]) == ("image/png", "max-age=60")
    assert head["Metadata"] == {"origin": "clean", "cleanplate-source-etag": source["ETag"].strip('"')}


def work_off(service: Service, job: dict[str, Any], settings: Settings, worker_on: WorkerOn) -> list[str]:
    """End a job's images; their paths."""
    images = service.caller().get(job["links"]["images"]).json["data"]
    run_shard([image["id"] for image in images], worker_on(settings))
    close_jobs(service.stores.database)
    return [image["path"] for image in images]


def test_only_new_takes_the_pictures_whose_present_version_has_no_result(
    service: Service, settings: Settings, bucket: Bucket, worker_on: WorkerOn
) -> None:
    shop = service.caller()
    wanted = body(bucket, only_new=True)
    assert len(work_off(service, shop.post("/v1/jobs", 202, json=wanted).json, settings, worker_on)) == 3
    problem = shop.problem("POST", "/v1/jobs", 409, "nothing_new", json=wanted)
    assert problem["detail"] == f"3 pictures have a result in s3://{bucket.name}/spring/clean/ already."

    # One is changed, one is new, one result is gone, and one result is not ours.
    bucket.put("spring/a.PNG", png(picture(7)))
    bucket.put("spring/new.png", png(picture(8)))
    bucket.put("spring/other.png", png(picture(9)))
    bucket.put("spring/clean/other.png", b"written by somebody else")
    bucket.s3.delete_object(Bucket=bucket.name, Key="spring/clean/Größe 1.png")
    planned = shop.post("/v1/jobs", 200, json={**wanted, "dry_run": True}).json
    assert (planned["images"], [row["code"] for row in planned["skipped"]]) == (
        4,
        [*["in_destination"] * 3, "not_a_picture", "done_before"],
    )
    job = shop.post("/v1/jobs", 202, json=wanted).json
    assert work_off(service, job, settings, worker_on) == ["Größe 1.png", "a.PNG", "new.png", "other.png"]
    shop.problem("POST", "/v1/jobs", 409, "nothing_new", json=wanted)


def test_a_dry_run_tells_the_cost_by_earlier_work_and_the_rest_of_the_quota(
    service: Service, settings: Settings, bucket: Bucket, worker_on: WorkerOn
) -> None:
    shop = service.caller()
    set_quota(service.stores.database, service.tenant("shop"), Quota(images_per_day=5))
    work_off(service, shop.post("/v1/jobs", 202, json=body(bucket)).json, settings, worker_on)
    text = {"mode": "text", "texts": ["Doe"]}
    answer = shop.post("/v1/jobs", 200, json=body(bucket, dry_run=True)).json
    work = shop.get("/v1/usage").json["total"]
    assert answer["images_left_today"] == 2
    assert answer["device_seconds"] == pytest.approx(work["device_seconds"] / work["images"] * 3, abs=0.06)
    assert shop.post("/v1/jobs", 200, json=body(bucket, mask=text, dry_run=True)).json["marks_expected"] is None
    unknown = body(bucket, mask={"template": "tpl_1"}, dry_run=True)
    shop.problem("POST", "/v1/jobs", 422, "template_unknown", json=unknown)


def test_only_new_needs_two_places_that_can_be_compared(service: Service, bucket: Bucket) -> None:
    shop = service.caller()
    wanted = body(bucket, only_new=True)
    by_id = f"{wanted['destination']}-{{image_id}}{{ext}}"
    for change in ({"destination": None}, {"destination": by_id}, {"source": None, "images": [{"upload_id": "upl_1"}]}):
        sent = {name: value for name, value in {**wanted, **change}.items() if value is not None}
        shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=sent)


def test_a_dry_run_tells_what_the_job_would_be_and_writes_nothing(service: Service, bucket: Bucket) -> None:
    shop = service.caller()
    answer = shop.post("/v1/jobs", 200, json=body(bucket, dry_run=True)).json
    assert (answer["images"], answer["rows_skipped"], answer["masks"]) == (3, 1, {"boxes": 3})
    assert [left_out["code"] for left_out in answer["skipped"]] == ["not_a_picture"]
    assert (answer["marks_expected"], answer["device_seconds"], answer["images_left_today"]) == (3, None, None)
    assert f"s3://{bucket.name}/spring/clean/catalog/product/w/s/front.png" in answer["destinations"]
    assert shop.get("/v1/jobs").json["data"] == []
    assert bucket.keys("spring/clean/") == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("s3://{bucket}/winter/{{path}}", "destination_not_allowed"),
        ("s3://{bucket}-other/{{path}}", "destination_not_allowed"),
        ("https://shop.example/{{path}}", "destination_not_allowed"),
        ("s3://{bucket}/spring/{{path}}", "destination_collides"),
        ("s3://{bucket}/spring/clean/{{ext}}", "validation_failed"),
        ("s3://{bucket}/spring/clean/{{sku}}.png", "validation_failed"),
        ("s3://{bucket}/spring/clean/{{custom_id}}/../{{path}}", "validation_failed"),
    ],
)
def test_a_destination_that_cannot_be_meant_is_refused(service: Service, bucket: Bucket, url: str, code: str) -> None:
    shop = service.caller()
    shop.problem("POST", "/v1/jobs", 422, code, json=body(bucket, destination=url.format(bucket=bucket.name)))
    assert shop.get("/v1/jobs").json["data"] == []


def test_two_pictures_with_one_address_are_refused(service: Service, bucket: Bucket) -> None:
    bucket.put("spring/b/a.PNG", png(picture(9)))
    url = f"s3://{bucket.name}/spring/clean/{{stem}}{{ext}}"
    problem = service.caller().problem(
        "POST", "/v1/jobs", 422, "destination_collides", json=body(bucket, destination=url)
    )
    assert "a.PNG" in problem["detail"]


def test_addresses_have_the_places_that_are_named() -> None:
    values = {"path": "w/s/front.jpg", "name": "x.jpg", "extension": ".png", "custom_id": "sku/1", "image_id": "img_1"}
    for url, expected in (
        ("s3://b/{dir}{stem}-clean{ext}", "s3://b/w/s/front-clean.png"),
        ("s3://b/{custom_id}/{name}", "s3://b/sku/1/front.png"),
        ("s3://b/c/", "s3://b/c/w/s/front.png"),
        ("s3://b/{image_id}{ext}", "s3://b/img_1.png"),
    ):
        assert Destination(url=url).address(**values) == expected
