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
    images = shop.get(job["links"]["images"]).json["data"]
    run_shard([image["id"] for image in images], worker_on(settings))
    close_jobs(service.stores.database)
    paths = [key.removeprefix("spring/") for key in sorted(KEYS)]
    results = [json.loads(line) for line in shop.get(job["links"]["results"]).get_data().splitlines()]
    assert sorted(line["path"] for line in results) == sorted(paths)
    written = {key for key in bucket.keys("spring/clean/") if not key.endswith("of-before.png")}
    assert written == {f"spring/clean/{path.replace('.PNG', '.png')}" for path in paths}
    assert {line["destination_url"] for line in results} == {f"s3://{bucket.name}/{key}" for key in written}
    head = bucket.s3.head_object(Bucket=bucket.name, Key="spring/clean/a.png")
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == (
        "image/png", "max-age=60", {"origin": "clean"},
    )  # fmt: skip


def test_a_dry_run_tells_what_the_job_would_be_and_writes_nothing(service: Service, bucket: Bucket) -> None:
    shop = service.caller()
    answer = shop.post("/v1/jobs", 200, json=body(bucket, dry_run=True)).json
    assert (answer["images"], answer["rows_skipped"], answer["masks"]) == (3, 1, {"boxes": 3})
    assert [left_out["code"] for left_out in answer["skipped"]] == ["not_a_picture"]
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
    bucket.put("spring/b/a.png", png(picture(9)))
    url = f"s3://{bucket.name}/spring/clean/{{stem}}{{ext}}"
    problem = service.caller().problem(
        "POST", "/v1/jobs", 422, "destination_collides", json=body(bucket, destination=url)
    )
    assert "a.png" in problem["detail"]


def test_addresses_have_the_places_that_are_named() -> None:
    values = {"path": "w/s/front.jpg", "name": "x.jpg", "extension": ".png", "custom_id": "sku/1", "image_id": "img_1"}
    for url, expected in (
        ("s3://b/{dir}{stem}-clean{ext}", "s3://b/w/s/front-clean.png"),
        ("s3://b/{custom_id}/{name}", "s3://b/sku/1/front.png"),
        ("s3://b/c/", "s3://b/c/w/s/front.png"),
        ("s3://b/{image_id}{ext}", "s3://b/img_1.png"),
    ):
        assert Destination(url=url).address(**values) == expected
