"""The API's reference in the browser: it keeps the content security policy and sends no request to another host."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.browser import context_of
from tests.embedded import Embedded


def test_the_description_is_read_without_signing_in(browser: Browser, service: Embedded) -> None:
    with context_of(browser, service.url) as context:  # fails on an error in the console, and on another host
        page = context.new_page()
        page.goto("/docs")
        submit = page.locator(".opblock-post", has=page.get_by_text("/v1/jobs", exact=True)).first
        submit.click()
        expect(submit.get_by_text("rights_basis").first).to_be_visible()
        page.goto("/docs#problem-rate_limited")
        expect(page.locator("#problem-rate_limited")).to_be_in_viewport()
