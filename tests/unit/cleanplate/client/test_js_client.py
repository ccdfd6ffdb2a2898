"""The JavaScript client against the real API, and the API's description as TypeScript: documented requests compile."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route

from api.app import create_app
from cleanplate.base.settings import Settings
from storage.ledger.jobs.reading import list_images
from storage.ledger.jobs.watching import look_since
from storage.records import ImageState
from tests.api_process import served
from tests.browser import context_of
from tests.running import REPOSITORY
from tests.unit.cleanplate.live import Shop, on_a_port

CLIENT = REPOSITORY / "clients" / "js"
TOOLS = CLIENT / "node_modules" / ".bin"
#: The smallest requests that the service takes, by schema.
SMALLEST: dict[str, Any] = {
    "NewJob": {
        "images": [{"url": "https://shop.example/a.jpg"}],
        "mask": {"boxes": [[0, 0, 9, 9]]},
        "rights_basis": "owner",
        "attested_by": "Jo Doe",
        "rights_reference": "own",
    },
    "NewUploads": {"files": [{"filename": "a.jpg", "content_type": "image/jpeg"}]},
    "NewWebhook": {"url": "https://shop.example/hook"},
    "NewTemplate": {"name": "spring", "mask": {"upload_id": "upl_1"}},
    "NewRedo": {},
    "JobChanges": {},
}


def run(*command: str | Path, **environment: str) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=CLIENT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_documented_requests_compile_strictly(tmp_path: Path) -> None:
    document = create_app(Settings(home=tmp_path)).test_client().get("/openapi.json").get_json()
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    run(TOOLS / "openapi-typescript", tmp_path / "openapi.json", "-o", tmp_path / "api.ts")
    bodies = list(SMALLEST.items())
    bodies += [
        (content["schema"]["$ref"].rpartition("/")[2], content["example"])
        for operations in document["paths"].values()
        for operation in operations.values()
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
        if media_type == "application/json" and "example" in content
    ]
    assert len(bodies) > 15
    lines = ['import type { components } from "./api";', 'type Schemas = components["schemas"];']
    lines += [
        f'export const request{number}: Schemas["{name}"] = {json.dumps(body)};'
        for number, (name, body) in enumerate(bodies)
    ]
    # A body that the service refuses must not compile.
    lines += ["// @ts-expect-error", 'export const wrong: Schemas["NewWebhook"] = { events: ["*"] };']
    (tmp_path / "requests.ts").write_text("\n".join(lines) + "\n")
    run(TOOLS / "tsc", "--strict", "--noEmit", "--target", "es2022", "--skipLibCheck", tmp_path / "requests.ts")


def test_the_javascript_client_is_typed_and_its_package_holds_types(tmp_path: Path) -> None:
    run(TOOLS / "tsc", "--project", "tsconfig.json")
    run("npm", "pack", "--pack-destination", tmp_path)
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        assert set(archive.getnames()) == {
            f"package/{name}" for name in ("cleanplate.js", "package.json", "types/cleanplate.d.ts")
        }


@pytest.fixture
def shop_at_work(embedded_settings: Settings, tmp_path: Path) -> Iterator[Shop]:
    """A service whose jobs are ended as they come."""
    shop = Shop(on_a_port(embedded_settings))
    stopped = threading.Event()

    def work() -> None:
        while not stopped.wait(0.2):
            for job in look_since(shop.database, shop.tenant, None).jobs:
                images = list_images(shop.database, shop.tenant, job.id, limit=9, after=None)
                if all(image.state is ImageState.QUEUED for image in images):
                    shop.work(job.id)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        with served(shop.settings, tmp_path / "log"):
            yield shop
    finally:
        stopped.set()
        worker.join()
        shop.close()


def test_the_javascript_client_works_in_node(shop_at_work: Shop) -> None:
    service = {"CLEANPLATE_URL": shop_at_work.settings.public_url, "CLEANPLATE_API_KEY": shop_at_work.key}
    run("node", "--test", "test/node.test.js", **service)


def test_the_javascript_client_works_in_a_page_of_the_services_origin(browser: Browser, shop_at_work: Shop) -> None:
    url = shop_at_work.settings.public_url

    def answer(route: Route) -> None:
        """The client's own files, and an empty page, below an address of the service."""
        name = route.request.url.removeprefix(f"{url}/client/")
        if name == "page":
            route.fulfill(content_type="text/html", body="<!doctype html><title>Shop</title>")
        else:
            route.fulfill(content_type="text/javascript", body=(CLIENT / name).read_text())

    with context_of(browser, url) as context:
        page = context.new_page()
        page.route(f"{url}/client/**", answer)
        page.goto("/client/page")
        page.evaluate(
            """async (service) => {
                const { cleansPictures, verifiesPosts } = await import("/client/test/scenarios.js");
                await verifiesPosts();
                await cleansPictures(service);
            }""",
            {"url": url, "apiKey": shop_at_work.key, "label": "page"},
        )
        # The two refusals of the scenario are the only errors that the browser's console tells of.
        told = context.complaints  # type: ignore[attr-defined]
        assert [text.rpartition("status of ")[2][:3] for text in told] == ["404", "422"]
        told.clear()


@pytest.mark.parametrize("name", sorted(SMALLEST))
def test_no_field_of_a_request_has_a_default_that_generators_would_require(name: str, tmp_path: Path) -> None:
    document = create_app(Settings(home=tmp_path)).test_client().get("/openapi.json").get_json()
    schema = document["components"]["schemas"][name]
    assert [field for field, how in schema["properties"].items() if "default" in how] == []
