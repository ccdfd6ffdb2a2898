"""The page on Postgres, Redis and S3: the browser sends files to the object store and fetches results from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import context_of, forgive, state_rights
from tests.e2e.conftest import Service
from tests.e2e.web.bench import Bench, pixels
from tests.e2e.web.catalogue import folder_of
from tests.e2e.web.test_new_job import draw, submit_form
from tests.servers import S3Server

#: For a busy machine.
LONG_MS = 180_000


@pytest.fixture(scope="module")
def service(shared_on_servers: Service) -> Service:  # type: ignore[override]
    return shared_on_servers


@pytest.fixture
def page(browser: Browser, service: Service, s3_server: S3Server) -> Iterator[Page]:  # type: ignore[override]
    """A person who signed in with a key; the page may send requests to the object store."""
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
    submit_form(page)
    assert len(sent) == 5, "four pictures and the mask"
    assert {urlsplit(url).netloc for url in sent} == {urlsplit(s3_server.endpoint_url).netloc}
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
    expect(page.locator("#done")).to_have_text("4 of 4")
    page.get_by_role("button", name="shirt-000.png, before and after").click()
    # Source and result were both fetched from the store by the page's scripts.
    expect(page.locator("#pair-note")).to_contain_text("Drag the picture")
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "shirt-000.png"
    assert pixels(download.value.path().read_bytes()).shape == (64, 48, 3)
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all").click()
    assert download.value.path().read_bytes()[:2] == b"PK"


def test_a_folder_in_a_bucket_is_named_and_marked_on_a_sample_of_it(
    page: Page, s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    pictures = folder_of(tmp_path / "spring", 3)
    s3 = boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=s3_server.access_key_id,
        aws_secret_access_key=s3_server.secret_access_key,
    )
    s3.create_bucket(Bucket=bucket)
    for file in pictures.iterdir():
        s3.put_object(Bucket=bucket, Key=f"spring/{file.name}", Body=file.read_bytes())
    page.get_by_text("In an S3 bucket").click()
    expect(page.locator("#missing")).to_have_text("Still missing: the folder, as s3://bucket/folder/.")
    page.get_by_label("Folder", exact=True).fill(f"s3://{bucket}/autumn/")
    expect(page.locator("#marking-none p:visible")).to_have_text(
        "Choose one of the pictures as a sample, to be marked here."
    )
    page.set_input_files("#sample-input", pictures / "shirt-000.png")
    expect(page.locator("#marking-none")).to_be_hidden()
    draw(page)
    page.get_by_role("button", name="Clean the pictures").click()
    expect(page.locator("#faults, #notices .notice-error").filter(visible=True)).to_contain_text(bucket)
    forgive(page.context)  # the console logs the refusal
    page.get_by_label("Folder", exact=True).fill(f"s3://{bucket}/spring/")
    submit_form(page)
    expect(page.locator("#done")).to_have_text("3 of 3", timeout=LONG_MS)
    page.get_by_role("button", name="shirt-000.png, before and after").click()
    expect(page.locator("#pair-note")).to_have_text("The original is not kept here: these are small pictures.")


def test_one_picture_is_repaired(page: Page, marked: Path) -> None:
    bench = Bench(page)
    bench.open(marked)
    bench.drag((0.4, 0.4), (0.5, 0.4))
    bench.erase()
    name, file = bench.download()
    assert name == f"{marked.stem}-clean.png"
    assert pixels(file).shape == pixels(marked.read_bytes()).shape
