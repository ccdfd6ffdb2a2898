"""Every page fits a phone of 360 px: nothing reaches beyond its width, and the top bar shows all its places."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from cleanplate.client.http import Client
from tests.browser import forgive, signed_in, state_rights
from tests.e2e.web.bench import LONG_MS
from tests.e2e.web.catalogue import RIGHTS, folder_of, mask_in, submit_folder
from tests.embedded import Embedded
from tests.running import until

NARROW = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def jobs(service: Embedded, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A job that has ended, and one with too few pictures to find its mark in."""
    folder = tmp_path_factory.mktemp("shop")
    pictures = folder_of(folder / "pictures", 4, broken=1)
    ended = submit_folder(service, pictures, mask_in(folder), name="Coats and jackets of the autumn of 2026")
    with Client(service.url, service.key) as client:
        few = client.submit(sorted(pictures.iterdir())[:3], mask={"mode": "auto"}, rights=RIGHTS)
        until(lambda: client.job(ended.id).state == "completed", "the job did not end")
        until(lambda: client.job(few.id).state == "needs_review", "the search did not end")
    return [ended.id, few.id]


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_nothing_is_cut_off(browser: Browser, service: Embedded, jobs: list[str], locale: str) -> None:
    with signed_in(browser, service, locale=locale, viewport=NARROW, has_touch=True) as context:
        state_rights(context)
        page = context.new_page()
        ended, few = jobs
        for path, shown in (
            ("/", "#choose"),
            ("/jobs", ".job-look"),
            ("/jobs?kind=repair", "#none"),
            ("/jobs/new", "#canvas"),
            (f"/jobs/{ended}", ".pair"),
            (f"/jobs/{ended}/review", "#stage:not(.waiting)"),
            (f"/jobs/{few}", "#review-anyway"),
            ("/admin", "#live table"),
            ("/jobs/job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f", ".empty"),
        ):
            page.goto(path)
            expect(page.locator(shown).first).to_be_visible(timeout=LONG_MS)
            assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], path
            assert page.locator(".top nav").evaluate("nav => nav.scrollWidth - nav.clientWidth") <= 0, path
        forgive(context)
