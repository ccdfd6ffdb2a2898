"""Bodies are bounded by their routes, before objects are made of them."""

from __future__ import annotations

import json

import pytest

from api import bodies
from cleanplate.base.names import UniquePaths
from cleanplate.base.settings import Settings
from tests.unit.api.calling import RIGHTS, MakeService, Service

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def small(make_service: MakeService, embedded_settings: Settings) -> Service:
    """A service for jobs of at most ten images."""
    return make_service(embedded_settings.model_copy(update={"max_job_images": 10}))


@pytest.mark.parametrize("content", [b"{}", b"[]", b'{"a":[]}'])
def test_json_of_too_many_objects_is_refused_unread(small: Service, content: bytes) -> None:
    body = b'{"images":[' + b",".join([content] * 2000) + b"]}"
    small.caller().problem("POST", "/v1/jobs", 413, "request_too_large", data=body, headers=JSON)


def test_a_list_of_too_many_images_is_refused_before_its_images_are_checked(small: Service) -> None:
    body = {**RIGHTS, "images": [{} for _ in range(11)]}
    small.caller().problem("POST", "/v1/jobs", 422, "too_many_images", json=body)


def test_a_list_of_nothing_but_faults_is_checked_up_to_the_first_slice(
    make_service: MakeService, embedded_settings: Settings
) -> None:
    shop = make_service(embedded_settings).caller()
    good = {"upload_id": "upl_1"}
    for images, first in (([{}] * 5000, 0), ([good] * 2500 + [{}] * 2500, 2500)):
        body = {**RIGHTS, "images": images}
        problem = shop.problem("POST", "/v1/jobs", 422, "validation_failed", json=body)
        assert problem["errors"][0]["pointer"] == f"#/images/{first}"
        assert len(problem["errors"]) == 100
        assert int(problem["detail"].split(" faults in all")[0].rpartition(" ")[2]) <= 1000


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/uploads"), ("POST", "/v1/webhooks"), ("POST", "/v1/templates")]
)
def test_a_route_that_needs_little_takes_little(
    make_service: MakeService, embedded_settings: Settings, method: str, path: str
) -> None:
    shop = make_service(embedded_settings).caller()
    for body in (b'"' + b"x" * bodies._USUAL_BYTES + b'"', b"[" * 20_001, b"[" + b"{}," * 20_001 + b"{}]"):
        shop.problem(method, path, 413, "request_too_large", data=body, headers=JSON)


def test_deep_nesting_is_no_json(make_service: MakeService, embedded_settings: Settings) -> None:
    shop = make_service(embedded_settings).caller()
    shop.problem("POST", "/v1/uploads", 400, "json_invalid", data=b"[" * 19_000 + b"]" * 19_000, headers=JSON)


def test_equal_names_are_numbered_in_linear_time() -> None:
    looked_up = 0

    class Names(set[str]):
        def __contains__(self, name: object) -> bool:
            nonlocal looked_up
            looked_up += 1
            return super().__contains__(name)

    names = UniquePaths()
    names._taken = Names()
    given = [names.of("front.jpg") for _ in range(20_000)]
    assert len({name.casefold() for name in given}) == 20_000
    assert given[:3] == ["front.jpg", "front (2).jpg", "front (3).jpg"]
    assert 20_000 <= looked_up <= 3 * 20_000


def test_a_numbered_name_that_is_taken_is_not_given_again() -> None:
    names = UniquePaths()
    assert [names.of(name) for name in ("a (2).jpg", "a.jpg", "A.JPG", "a (2).jpg")] == [
        "a (2).jpg",
        "a.jpg",
        "A (3).JPG",
        "a (2) (2).jpg",
    ]


@pytest.mark.parametrize("boxes", [5, 6])
def test_the_rows_of_a_manifest_may_have_five_boxes_for_each_image_of_a_job(small: Service, boxes: int) -> None:
    row = {"url": "https://shop.example/a.jpg", "mask": {"boxes": [[0, 0, 9, 9]] * boxes}}
    answer = small.caller().submit_manifest("\n".join([json.dumps(row)] * 10), 202 if boxes == 5 else 413)
    assert boxes == 5 or answer["code"] == "request_too_large"


def test_the_list_of_images_may_have_as_many_boxes_as_a_manifest(small: Service) -> None:
    images = [{"url": "https://shop.example/a.jpg", "mask": {"boxes": [[0, 0, 9, 9]] * 150}}] * 10
    body = {**RIGHTS, "images": images}
    small.caller().problem("POST", "/v1/jobs", 413, "request_too_large", json=body)
