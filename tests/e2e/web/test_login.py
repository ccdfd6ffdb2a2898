"""Signing in, at a service that is not this machine's alone."""

from __future__ import annotations

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import PHONE, assert_accessible, context_of
from tests.embedded import Embedded

#: A proxy's header: whoever comes through one is asked for a key.
FROM_ELSEWHERE = {"extra_http_headers": {"X-Forwarded-For": "192.0.2.1"}}


def test_a_key_is_asked_for_once_and_signing_out_ends_it(browser: Browser, service: Embedded) -> None:
    with context_of(browser, service.url, **FROM_ELSEWHERE) as context:
        page = context.new_page()
        page.goto("/?lang=en")
        page.get_by_label("API key").fill(service.key)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{service.url}/?lang=en")
        again = context.new_page()
        again.goto("/")
        expect(again).to_have_title("Repair a picture · Cleanplate")
        again.get_by_role("button", name="Sign out").click()
        expect(again.get_by_label("API key")).to_be_focused()


def test_the_login_is_accessible_in_both_languages_dark_and_on_a_phone(browser: Browser, service: Embedded) -> None:
    for options in ({"locale": "en-GB"}, {"locale": "zh-CN", "color_scheme": "dark", "viewport": PHONE}):
        with context_of(browser, service.url, **FROM_ELSEWHERE, **options) as context:
            page = context.new_page()
            page.goto("/login")
            assert_accessible(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]


def test_on_the_machine_itself_no_key_is_asked_for(page: Page, context: BrowserContext) -> None:
    page.goto("/")
    expect(page).to_have_title("Repair a picture · Cleanplate")
    assert_accessible(page)
