"""Chromium, driven by Playwright, and the checks of every page: no error in its console, no finding of axe.

The tests use the system's browser, because `playwright install` does not work everywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, expect, sync_playwright

from tests.embedded import Embedded
from tests.running import REPOSITORY, until

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGUMENTS = [
    "--no-sandbox",  # Chromium's sandbox does not run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_AXE = (REPOSITORY / "tests" / "vendor" / "axe.min.js").read_text()
#: The rules of WCAG 2.2 AA, and axe's best practices.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PHONE = {"width": 390, "height": 760}


class ChromiumMissing(Exception):
    """The browser that the tests need is not installed."""


def chromium() -> str:
    """The path of the system's Chromium: CHROMIUM in the environment, else from PATH."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        raise ChromiumMissing(
            "The page is tested with Chromium. On Debian and Ubuntu: apt-get install chromium; "
            "elsewhere, put its path in CHROMIUM."
        )
    return path


@contextmanager
def launch_browser() -> Iterator[Browser]:
    """A browser that runs during the block."""
    expect.set_options(timeout=120_000)  # for busy machines; an assertion that holds returns at once
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def context_of(
    browser: Browser, url: str, *, friends: tuple[str, ...] = (), **options: Any
) -> Iterator[BrowserContext]:
    """Cookies and storage of one person at the service of ``url``, who has made no statement of rights yet.

    Fails at the end if the console of a page had an error, or if a page sent a request to another host. ``friends`` are
    allowed addresses beside the service's, such as the object store's.
    """
    context = browser.new_context(base_url=url, locale=options.pop("locale", "en-GB"), **options)
    context.set_default_timeout(120_000)
    complaints: list[str] = []
    foreign_requests: list[str] = []

    def note_foreign(request: Request) -> None:
        if _is_foreign(request.url, url, *friends):
            foreign_requests.append(request.url)

    def listen(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("request", note_foreign)

    context.on("page", listen)
    context.complaints = complaints  # type: ignore[attr-defined]
    try:
        yield context
    finally:
        context.close()
    assert not foreign_requests, f"requests to other hosts: {foreign_requests}"
    assert not complaints, f"errors in the console: {complaints}"


@contextmanager
def signed_in(browser: Browser, service: Embedded, **options: Any) -> Iterator[BrowserContext]:
    """As :func:`context_of`, for a person who has signed in at the running service."""
    with context_of(browser, service.url, **options) as context:
        sign_in(context, service)
        yield context


def sign_in(context: BrowserContext, service: Embedded) -> None:
    """Sign in with a one-time link, by the requests that the link's page sends."""
    page, _, secret = service.sign_in_link().partition("#")
    token = context.request.get(page).text().partition('name="csrf-token" content="')[2].partition('"')[0]
    answer = context.request.post(page, form={"csrf_token": token, "link": secret}, max_redirects=0)
    assert answer.status == 303, answer.text()


class HeldRequests:
    """Holds a page's requests to some addresses until ``answer`` or ``go``, so that the order of answers is certain."""

    def __init__(self, page: Page, addresses: str) -> None:
        self._page = page
        self._addresses = addresses
        self._routes: list[Route] = []
        self._open = False
        page.route(addresses, self._hold)

    def _hold(self, route: Route) -> None:
        if self._open:
            route.continue_()
        else:
            self._routes.append(route)

    def wait(self, count: int = 1) -> list[Route]:
        """Wait for ``count`` held requests; all held requests."""

        def has_enough() -> bool:
            self._page.wait_for_timeout(20)
            return len(self._routes) >= count

        until(has_enough, f"{self._addresses} was not requested")
        return self._routes

    def answer(self, body: object) -> None:
        """Answer the held requests with this JSON, an earlier answer of the service."""
        routes, self._routes = self._routes, []
        for route in routes:
            route.fulfill(json=body)

    def go(self) -> None:
        """Let the held requests continue, and hold no further ones."""
        self._open = True
        routes, self._routes = self._routes, []
        for route in routes:
            route.continue_()


def hold_bitmaps(page: Page, count: int) -> None:
    """Hold the first ``count`` pictures that the page decodes until ``letGo()``; ``made`` counts the begun ones."""
    page.add_init_script(
        f"""const make = window.createImageBitmap;
        window.made = 0;
        const held = new Promise((resolve) => (window.letGo = resolve));
        window.createImageBitmap = async (...given) => {{
            window.made += 1;
            if (window.made <= {count}) await held;
            return make(...given);
        }};"""
    )


def forgive(context: BrowserContext) -> None:
    """Forget the console errors so far: the test stopped the service or expected a refusal."""
    context.complaints.clear()  # type: ignore[attr-defined]


def state_rights(context: BrowserContext) -> None:
    """Store a statement of rights in the browser, as the dialog does."""
    rights = {"rights_basis": "owner", "attested_by": "Jo Doe", "rights_reference": "own photographs"}
    stored = json.dumps(json.dumps(rights))
    context.add_init_script(f"if (location.protocol !== 'about:') localStorage.setItem('cleanplate.rights', {stored})")


def assert_accessible(page: Page) -> None:
    """Assert that axe finds no violation on the page as it is now."""
    page.evaluate(_AXE)
    report = page.evaluate("rules => axe.run({runOnly: {type: 'tag', values: rules}})", _RULES)
    violations = [
        f"{violation['impact']} {violation['id']}: {violation['help']}\n   "
        + "\n   ".join(f"{node['html'][:160]} {node['failureSummary']}" for node in violation["nodes"][:4])
        for violation in report["violations"]
    ]
    assert not violations, "\n".join(violations)


def read_stage(page: Page) -> str:
    """The canvas as a data URL, after the page has drawn pending changes."""
    frames = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    page.evaluate(frames)
    return str(page.evaluate("document.getElementById('canvas').toDataURL()"))


def screenshot(page: Page, path: Path) -> None:
    """Write a small picture of the page."""
    from PIL import Image

    page.screenshot(path=path, animations="disabled")
    with Image.open(path) as shot:
        reduced = shot.convert("RGB").quantize(160, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True)


def _is_foreign(address: str, *known: str) -> bool:
    return not address.startswith((*known, "blob:", "data:"))


def main() -> None:
    """Exit with the status 0 if there is a browser, else with instructions to install one."""
    try:
        chromium()
    except ChromiumMissing as missing:
        sys.exit(str(missing))


if __name__ == "__main__":
    main()
