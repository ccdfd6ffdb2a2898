"""The page on Postgres, Redis and S3: files go from the browser straight to the object store, and come back from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import context_of, state_rights
from tests.e2e.conftest import Service, on_servers
from tests.e2e.web.bench import Bench, pixels
from tests.e2e.web.catalogue import folder_of
from tests.e2e.web.test_new_job import draw, hand_over
from tests.servers import PostgresServer, RedisServer, S3Server

#: The machine may be busy.
LONG_MS = 180_000


@pytest.fixture(scope="module")
def service(  # type: ignore[override]
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    redis_server: RedisServer,
    s3_server: S3Server,
) -> Iterator[Service]:
    with on_servers(tmp_path_factory.mktemp("servers"), postgres_server, redis_server, s3_server) as here:
        yield here


@pytest.fixture
def page(browser: Browser, service: Service, s3_server: S3Server) -> Iterator[Page]:  # type: ignore[override]
    """A person who has shown a key; the object store is no stranger to the page."""
    with context_of(browser, service.url, friends=(s3_server.endpoint_url,)) as context:
        state_rights(context)
        page = context.new_page()
        page.goto("/jobs/new")
        page.get_by_label("API key").fill(service.key)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="New job")).to_be_visible()
        yield page


def test_a_folder_goes_straight_to_the_store_and_its_results_come_from_there(
    page: Page, s3_server: S3Server, tmp_path: Path
) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "PUT" else None)
    page.set_input_files("#folder-input", folder_of(tmp_path / "spring", 4))
    expect(page.locator("#shipment-text")).to_contain_text("4 of 4 pictures sent")
    draw(page)
    hand_over(page)
    assert len(sent) == 5, "four pictures and the mask"
    assert {urlsplit(url).netloc for url in sent} == {urlsplit(s3_server.endpoint_url).netloc}
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
    expect(page.locator("#done")).to_have_text("4 of 4")
    page.get_by_role("button", name="shirt-000.png, before and after").click()
    # Source and result were both fetched from the store by the page's scripts.
    expect(page.locator("#zoom-keys")).to_contain_text("Drag the picture")
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "shirt-000.png"
    assert pixels(download.value.path().read_bytes()).shape == (64, 48, 3)
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all").click()
    assert download.value.path().read_bytes()[:2] == b"PK"


def test_one_picture_is_repaired(page: Page, marked: Path) -> None:
    bench = Bench(page)
    bench.open(marked)
    bench.drag((0.4, 0.4), (0.5, 0.4))
    bench.erase()
    name, file = bench.downloaded()
    assert name == f"{marked.stem}-clean.png"
    assert pixels(file).shape == pixels(marked.read_bytes()).shape
