"""Signing in: with a key, and with a one-time link."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, expect

from tests.browser import PHONE, assert_accessible, context_of, forgive
from tests.embedded import Embedded


def test_a_key_is_asked_for_once_and_signing_out_ends_it(browser: Browser, service: Embedded) -> None:
    with context_of(browser, service.url) as context:
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
        with context_of(browser, service.url, **options) as context:
            page = context.new_page()
            page.goto("/login")
            assert_accessible(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]


def test_a_link_signs_in_once_and_its_secret_stays_nowhere(browser: Browser, service: Embedded) -> None:
    link = service.sign_in_link()
    secret = link.partition("#")[2]
    with context_of(browser, service.url) as context:
        page = context.new_page()
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.goto(link)
        expect(page).to_have_title("Repair a picture · Cleanplate")
        assert_accessible(page)
        assert not [url for url in requested if secret in url and url != link]
        page.go_back()
        expect(page).not_to_have_url(re.compile(re.escape(secret)))
    with context_of(browser, service.url) as context:
        page = context.new_page()
        page.goto(link)
        expect(page.get_by_role("alert")).to_contain_text("This link no longer works")
        expect(page.get_by_text("cleanplate link")).to_be_visible()
        assert_accessible(page)
        forgive(context)  # the console logs the refusal
        page.goto("/admin")
        expect(page.get_by_label("API key")).to_be_visible()


def test_the_file_with_the_link_leads_there(browser: Browser, service: Embedded) -> None:
    service.sign_in_link()
    with context_of(browser, service.url, friends=("file:",)) as context:
        page = context.new_page()
        page.goto((service.home / "login-link.html").as_uri())
        expect(page).to_have_title("Repair a picture · Cleanplate")
