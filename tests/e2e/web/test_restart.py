"""The service dies while a page is working and restarts; the page continues by itself."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser import context_of, forgive, sign_in, state_rights
from tests.e2e.web.bench import LONG_MS, Bench
from tests.e2e.web.catalogue import lasting_in, submit_paused
from tests.embedded import Embedded


def test_a_repair_outlives_the_service(browser: Browser, marked: Path, tmp_path: Path) -> None:
    service = Embedded(tmp_path)
    with context_of(browser, service.url) as context:
        state_rights(context)
        with service.up():
            sign_in(context, service)
            bench = Bench(context.new_page())
            bench.open(marked)
            bench.drag((0.2, 0.7), (0.8, 0.3))
            with bench.page.expect_response("**/v1/jobs") as accepted:
                bench.page.keyboard.press("Enter")
            assert accepted.value.status == 202
            service.kill()
            expect(bench.page.locator("#busy-text")).to_have_text("The service does not answer. Trying again…")
        with service.up():
            bench.wait_for_step(1)
            forgive(context)
            assert bench.download()[0] == f"{marked.stem}-clean.png"


def test_a_repair_begun_while_the_service_is_away_ends_when_it_is_back(
    browser: Browser, marked: Path, tmp_path: Path
) -> None:
    service = Embedded(tmp_path)
    with context_of(browser, service.url) as context:
        state_rights(context)
        with service.up():
            sign_in(context, service)
            bench = Bench(context.new_page())
            bench.page.goto("/")
        bench.choose(marked)
        bench.drag((0.4, 0.4), (0.5, 0.4))
        bench.page.keyboard.press("Enter")
        expect(bench.page.locator("#busy-text")).to_have_text("The service does not answer. Trying again…")
        with service.up():
            bench.wait_for_step(1)
            forgive(context)


def test_a_jobs_page_follows_it_over_a_restart(browser: Browser, tmp_path: Path) -> None:
    service = Embedded(tmp_path)
    pictures, mask = lasting_in(tmp_path, 4)
    with context_of(browser, service.url) as context:
        page = context.new_page()
        with service.up():
            sign_in(context, service)
            job = submit_paused(service, pictures, mask)
            page.goto(f"/jobs/{job.id}")
            page.get_by_role("button", name="Go on").click()
            expect(page.locator("#state")).to_have_text("running", timeout=LONG_MS)
            service.kill()
            expect(page.locator("#away")).to_be_visible()
        with service.up():
            expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
            expect(page.locator("#done")).to_have_text("4 of 4")
            expect(page.locator("#away")).to_be_hidden()
            page.close()  # before the service stops, or its console would log errors
            forgive(context)
