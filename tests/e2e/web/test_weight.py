"""The weight of the page of one picture, and its stability while it loads and works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Response, expect

from tests.e2e.web.bench import Bench

#: Over the line: scripts and styles go compressed.
MOST_BYTES = 120_000
MOST_REQUESTS_BEFORE_PAINT = 3


def test_the_page_weighs_little_and_needs_few_requests_to_be_seen(page: Page) -> None:
    answers: list[Response] = []
    page.on("response", lambda answer: answers.extend([answer]))
    page.goto("/", wait_until="networkidle")
    sizes = {answer.url: answer.request.sizes() for answer in answers}
    weight = {url: size["responseBodySize"] + size["responseHeadersSize"] for url, size in sizes.items()}
    assert sum(weight.values()) < MOST_BYTES, weight
    expect(page.get_by_role("button", name="Choose a picture")).to_be_visible()
    blocking = page.evaluate(
        "performance.getEntriesByType('resource').filter((one) => one.renderBlockingStatus === 'blocking')"
        ".map((one) => one.name)"
    )
    assert 1 + len(blocking) <= MOST_REQUESTS_BEFORE_PAINT, blocking


def test_nothing_moves_while_the_page_comes_and_while_it_works(page: Page, marked: Path) -> None:
    page.add_init_script(
        """window.shifts = [];
        new PerformanceObserver((list) => {
            for (const one of list.getEntries()) {
                const moved = one.sources.map(({node}) => node?.id || node?.className || node?.nodeName);
                window.shifts.push([one.value, ...moved]);
            }
        }).observe({type: 'layout-shift', buffered: true});"""
    )
    bench = Bench(page)
    page.goto("/", wait_until="networkidle")
    bench.choose(marked)
    bench.drag((0.4, 0.4), (0.5, 0.4))
    bench.erase()
    shifts: list[list[Any]] = page.evaluate("window.shifts")
    assert sum(shift[0] for shift in shifts) < 0.01, shifts
