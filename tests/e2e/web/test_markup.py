"""Texts with markup in a browser: every page shows them as they are, and no script of theirs runs."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from storage.records import JobState
from tests import markup
from tests.e2e.web.catalogue import RIGHTS, api_client, folder_of, mask_in
from tests.embedded import Embedded
from tests.running import until


@pytest.fixture(scope="module")
def job_id(service: Embedded, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A job of two pictures, one of them truncated, with markup in each text, beside a template and a webhook."""
    folder = tmp_path_factory.mktemp("shop")
    files = [*sorted(folder_of(folder / "pictures", 2, broken=1).iterdir()), mask_in(folder)]
    with api_client(service) as http:
        wanted = {"files": [{"filename": file.name, "content_type": "image/png"} for file in files]}
        uploads = http.post("/v1/uploads", json=wanted).raise_for_status().json()["uploads"]
        for file, upload in zip(files, uploads, strict=True):
            http.put(upload["url"], headers=upload["headers"], content=file.read_bytes()).raise_for_status()
        *images, mask = [upload["id"] for upload in uploads]
        listed = [
            {"upload_id": image, **markup.IMAGE_FIELDS, "path": f"{n}/{markup.IMAGE_FIELDS['path']}"}
            for n, image in enumerate(images)
        ]
        body = {"rights_basis": RIGHTS.basis, "images": listed, "mask_upload_id": mask, **markup.FIELDS}
        job: str = http.post("/v1/jobs", json=body).raise_for_status().json()["id"]
        http.post("/v1/templates", json={"name": markup.TEXT, "mask": {"upload_id": mask}}).raise_for_status()
        http.post("/v1/webhooks", json={"url": markup.ADDRESS}).raise_for_status()
        until(lambda: http.get(f"/v1/jobs/{job}").json()["state"] == JobState.COMPLETED, "the job did not end")
        for image in http.get(f"/v1/jobs/{job}/images").json()["data"]:
            review = {"review": "rejected", "note": markup.TEXT}
            http.patch(f"/v1/images/{image['id']}", json=review).raise_for_status()
    return job


def assert_only_texts(page: Page) -> None:
    assert page.evaluate("window.stolen") is None
    assert page.locator(markup.MADE_OF_TEXT).count() == 0


def test_no_text_becomes_an_element_of_a_page(page: Page, job_id: str) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    page.goto(f"/jobs/{job_id}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x")
    expect(page.get_by_text("img src=x").nth(1)).to_be_visible()
    assert_only_texts(page)
    page.goto("/jobs")
    expect(page.locator(f"[data-job={job_id}]")).to_contain_text("<img src=x")
    assert_only_texts(page)
    page.goto("/jobs/new")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert_only_texts(page)
    page.goto("/admin")
    page.get_by_text("New key").click()
    page.get_by_label("Name").fill(markup.TEXT)
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator(".template-row")).to_contain_text("<img src=x")
    expect(page.get_by_role("button", name="Revoke").nth(1)).to_be_visible()
    assert_only_texts(page)
