"""A picture of each page as a service with something to show has it.

    python -m tests.screenshots docs/screenshots

Runs a service of its own in a temporary folder. ``SHOTS`` lists the pictures: a name, and what to do on a fresh page.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page, expect

from tests.browser import PHONE, context_of, launched, screenshot, state_rights
from tests.e2e.web.bench import Bench
from tests.embedded import Embedded, embedded
from tests.running import REPOSITORY

MARKED = REPOSITORY / "samples" / "marked" / "garment-0c06778b.png"
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
DARK = {**DESKTOP, "color_scheme": "dark"}
IN_CHINESE = {"locale": "zh-CN"}


class Shot(NamedTuple):
    """A picture to take."""

    name: str
    options: dict[str, Any]
    prepare: Callable[[Page], None]


def start(page: Page) -> None:
    page.goto("/")


def painted(page: Page) -> None:
    bench = Bench(page)
    bench.open(MARKED)
    page.locator("#size").fill("63")
    bench.drag((0.19, 0.71), (0.46, 0.5), (0.735, 0.3))


def repaired(page: Page) -> None:
    painted(page)
    page.locator("#erase").click()
    expect(page.locator("#download")).to_be_visible(timeout=90_000)
    expect(page.locator("#divider-range")).to_have_value("50")


FROM_ELSEWHERE = {"extra_http_headers": {"X-Forwarded-For": "192.0.2.1"}}
SHOTS = [
    Shot("repair-start", DESKTOP, start),
    Shot("repair-painted", DESKTOP, painted),
    Shot("repair-compare", DESKTOP, repaired),
    Shot("repair-compare-dark-zh", {**DARK, **IN_CHINESE}, repaired),
    Shot("repair-phone", {"viewport": PHONE, "has_touch": True}, repaired),
    Shot("login", {**DESKTOP, **FROM_ELSEWHERE}, start),
]


def take(service: Embedded, folder: Path) -> None:
    """All pictures, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with launched() as browser:
        for shot in SHOTS:
            with context_of(browser, service.url, reduced_motion="reduce", **shot.options) as context:
                state_rights(context)
                page = context.new_page()
                shot.prepare(page)
                page.evaluate("document.activeElement.blur()")
                screenshot(page, folder / f"{shot.name}.png")
                sys.stdout.write(f"{shot.name}.png\n")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cleanplate-screenshots-") as folder, embedded(Path(folder)) as service:
        take(service, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
