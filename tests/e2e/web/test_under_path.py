"""The page below a path of a host: it works, and all of its requests stay below the path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from cleanplate import Client, Rights
from tests.browser import context_of
from tests.embedded import Embedded, embedded
from tests.running import REPOSITORY

SAMPLES = REPOSITORY / "samples"


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("below"), "/shop/cleanplate") as service:
        yield service


def test_a_job_is_sent_followed_and_looked_at(browser: Browser, below: Embedded, tmp_path: Path) -> None:
    with Client(below.url, below.key) as client:
        job = client.submit(
            [SAMPLES / "marked" / "garment-0c06778b.png"],
            masks=SAMPLES / "masks" / "garment-0c06778b.png",
            rights=Rights(basis="owner", attested_by="Jo Doe", reference="own photographs"),
        )
        with context_of(browser, below.url) as context:
            page = context.new_page()
            requested: list[str] = []
            page.on("request", lambda request: requested.append(request.url))
            page.goto(below.sign_in_link())
            expect(page).to_have_title("Repair a picture · Cleanplate")
            page.get_by_role("link", name="Jobs").click()
            page.locator(f'a[href$="/jobs/{job.id}"]').first.click()
            expect(page).to_have_url(f"{below.url}/jobs/{job.id}")
            # The state comes from the stream of events, or from a request.
            expect(page.get_by_text("completed", exact=True).first).to_be_visible(timeout=120_000)
            preview = page.locator("img[data-slot=preview]:visible, .pair-frame img:visible").first
            expect(preview).to_be_visible()
            page.wait_for_function("image => image.naturalWidth > 0", arg=preview.element_handle())
            page.get_by_role("link", name="API").click()
            expect(page).to_have_url(f"{below.url}/docs")
            expect(page.get_by_text("/v1/jobs/{job_id}").first).to_be_visible()
            assert requested
            assert [url for url in requested if not url.startswith((f"{below.url}/", "blob:", "data:"))] == []
        job.wait()
        assert len(job.download(tmp_path / "clean")) == 1
