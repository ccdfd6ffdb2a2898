"""Chromium, driven by Playwright, and the checks that every page must pass: no error in its console, axe finds nothing.

The browser is the system's own, because `playwright install` cannot work everywhere.
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

from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from tests.embedded import Embedded
from tests.running import REPOSITORY, until

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGUMENTS = [
    "--no-sandbox",  # root has no other way
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_AXE = (REPOSITORY / "tests" / "vendor" / "axe.min.js").read_text()
#: What WCAG 2.2 AA asks for, and what else axe knows to be good.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PHONE = {"width": 390, "height": 760}


class ChromiumMissing(Exception):
    """The browser that the tests need is not installed."""


def chromium() -> str:
    """Where the system's Chromium is: CHROMIUM in the environment, else the PATH."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise ChromiumMissing(
            "The page is tested with Chromium. On Debian and Ubuntu: apt-get install chromium; "
            "elsewhere, put its path in CHROMIUM."
        )
    return found


@contextmanager
def launch_browser() -> Iterator[Browser]:
    """A browser of its own."""
    expect.set_options(timeout=30_000)  # for busy machines; whatever is there is seen at once
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

    Fails at the end if a page's console had an error, or a page asked anybody else for anything; ``friends`` are
    addresses that it may ask, such as the object store's.
    """
    context = browser.new_context(base_url=url, locale=options.pop("locale", "en-GB"), **options)
    context.set_default_timeout(30_000)
    complaints: list[str] = []
    strangers: list[str] = []

    def listen(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("request", lambda asked: strangers.append(asked.url) if _elsewhere(asked.url, url, *friends) else None)

    context.on("page", listen)
    context.complaints = complaints  # type: ignore[attr-defined]
    try:
        yield context
    finally:
        context.close()
    assert not strangers, f"asked others: {strangers}"
    assert not complaints, f"in the console: {complaints}"


@contextmanager
def signed_in(browser: Browser, service: Embedded, **options: Any) -> Iterator[BrowserContext]:
    """As :func:`context_of`, of a person who has signed in at a service that runs."""
    with context_of(browser, service.url, **options) as context:
        sign_in(context, service)
        yield context


def sign_in(context: BrowserContext, service: Embedded) -> None:
    """What the page of a one-time link does, without drawing it."""
    page, _, secret = service.sign_in_link().partition("#")
    token = context.request.get(page).text().partition('name="csrf-token" content="')[2].partition('"')[0]
    answer = context.request.post(page, form={"csrf_token": token, "link": secret}, max_redirects=0)
    assert answer.status == 303, answer.text()


class HeldRequests:
    """A page's requests to some addresses wait from now on until they are let go: the order of answers is certain."""

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
        """The first requests, once there are so many."""

        def there() -> bool:
            self._page.wait_for_timeout(20)
            return len(self._routes) >= count

        until(there, f"{self._addresses} was not asked for")
        return self._routes

    def answer(self, body: object) -> None:
        """Answer what waits with this JSON, which a service has said before."""
        routes, self._routes = self._routes, []
        for route in routes:
            route.fulfill(json=body)

    def go(self) -> None:
        """Let go what waits, and hold nothing more."""
        self._open = True
        routes, self._routes = self._routes, []
        for route in routes:
            route.continue_()


def hold_bitmaps(page: Page, count: int) -> None:
    """The first ``count`` pictures that the page decodes wait for ``letGo()``; ``made`` says how many were begun."""
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
    """What the console said until now was to be expected: the service was away on purpose."""
    context.complaints.clear()  # type: ignore[attr-defined]


def state_rights(context: BrowserContext) -> None:
    """Let the browser remember a statement of rights, as after the dialog."""
    stated = {"rights_basis": "owner", "attested_by": "Jo Doe", "rights_reference": "own photographs"}
    kept = json.dumps(json.dumps(stated))
    context.add_init_script(f"if (location.protocol !== 'about:') localStorage.setItem('cleanplate.rights', {kept})")


def assert_accessible(page: Page) -> None:
    """axe finds nothing to say about the page as it is now."""
    page.evaluate(_AXE)
    found = page.evaluate("rules => axe.run({runOnly: {type: 'tag', values: rules}})", _RULES)
    told = [
        f"{violation['impact']} {violation['id']}: {violation['help']}\n   "
        + "\n   ".join(f"{node['html'][:160]} {node['failureSummary']}" for node in violation["nodes"][:4])
        for violation in found["violations"]
    ]
    assert not told, "\n".join(told)


def read_stage(page: Page) -> str:
    """What is on the stage, after whatever was asked for has been drawn."""
    frames = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    page.evaluate(frames)
    return str(page.evaluate("document.getElementById('canvas').toDataURL()"))


def screenshot(page: Page, path: Path) -> None:
    """The page as it looks, in a small file."""
    from PIL import Image

    page.screenshot(path=path, animations="disabled")
    with Image.open(path) as shot:
        small = shot.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def _elsewhere(asked: str, *known: str) -> bool:
    return not asked.startswith((*known, "blob:", "data:"))


def main() -> None:
    """End with the status 0 where there is a browser, else with how to get one."""
    try:
        chromium()
    except ChromiumMissing as missing:
        sys.exit(str(missing))


if __name__ == "__main__":
    main()
