"""A whole erase by fingers alone on a narrow phone: each event is a touch of the browser, no mouse and no key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import assert_accessible, read_stage, signed_in, state_rights
from tests.e2e.web.bench import LONG_MS, Bench, pixels
from tests.embedded import Embedded
from tests.running import until

#: A small phone, in CSS pixels.
NARROW = {"width": 360, "height": 680}
Place = tuple[float, float]


class Fingers:
    """Fingers on the screen. Each path is a finger's places in CSS pixels; all fingers move at once."""

    def __init__(self, page: Page) -> None:
        self._screen = page.touchscreen
        self._devices = page.context.new_cdp_session(page)

    def move(self, *paths: list[Place]) -> None:
        """Put a finger down at the start of each path, move them along, and lift them."""
        for number, places in enumerate(zip(*paths, strict=True)):
            self._send("touchMove" if number else "touchStart", places)
        self._send("touchEnd", ())

    def tap(self, target: Locator) -> None:
        """Tap on the middle of an element, where nothing else may lie."""
        expect(target).to_be_enabled()
        target.scroll_into_view_if_needed()
        box = target.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24, f"{target} is too small for a finger: {box}"
        # Both events are sent at once: on a busy machine the second could come so late that it ends a long press.
        self._screen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def _send(self, kind: str, places: tuple[Place, ...]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self._devices.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def line(begin: Place, end: Place, steps: int = 8) -> list[Place]:
    """Places from one to the other."""
    (x, y), (right, bottom) = begin, end
    return [(x + (right - x) * step / steps, y + (bottom - y) * step / steps) for step in range(steps + 1)]


@pytest.fixture
def page(browser: object, service: Embedded) -> Iterator[Page]:
    with signed_in(browser, service, viewport=NARROW, has_touch=True, is_mobile=True) as context:  # type: ignore[arg-type]
        state_rights(context)
        yield context.new_page()


def assert_fits(page: Page) -> None:
    """Nothing is wider than the screen, and the page itself has not scrolled under the fingers."""
    seen = page.evaluate("[document.documentElement.scrollWidth, innerWidth, visualViewport.scale, scrollY]")
    assert seen == [NARROW["width"], NARROW["width"], 1, 0]


def test_a_picture_is_erased_from_its_choice_to_its_file(page: Page, marked: Path) -> None:
    fingers, bench = Fingers(page), Bench(page)
    page.goto("/")
    assert_fits(page)
    with page.expect_file_chooser() as chooser:
        fingers.tap(page.locator("#choose"))
    chooser.value.set_files(marked)
    expect(page.locator("#name")).to_have_text(marked.name)
    assert_fits(page)
    assert_accessible(page)

    fingers.move(line(bench.point(0.35, 0.4), bench.point(0.5, 0.4)))
    expect(page.locator("#undo")).to_be_enabled()
    fingers.tap(page.locator("#undo"))
    expect(page.locator("#erase")).to_be_disabled()
    fingers.tap(page.locator("#redo"))
    expect(page.locator("#erase")).to_be_enabled()

    fitted = read_stage(page)
    (x, y) = bench.point(0.5, 0.5)
    fingers.move(line((x - 20, y), (x - 90, y - 60)), line((x + 20, y), (x + 90, y + 60)))
    enlarged = read_stage(page)
    assert enlarged != fitted
    assert_fits(page)  # the picture was enlarged, not the page
    fingers.move(line((x - 30, y), (x + 30, y)))  # a stroke on the enlarged picture
    fingers.tap(page.locator("#undo"))
    until(lambda: read_stage(page) == enlarged, "two fingers painted, or the stroke stayed")
    fingers.move(line((x - 30, y), (x + 30, y)))

    fingers.tap(page.locator("#erase"))
    bench.wait_for_step(1)
    assert_fits(page)
    assert_accessible(page)
    divider = page.locator("#divider-range")
    expect(divider).to_be_visible()
    knob = page.locator("#divider").bounding_box()
    assert knob is not None
    held = (knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2)
    value = divider.input_value()
    fingers.move(line(held, (held[0] - 80, held[1])))
    expect(divider).not_to_have_value(value)
    fingers.tap(page.locator("#compare"))
    expect(divider).to_be_hidden()
    fingers.tap(page.locator("#compare"))
    expect(divider).to_be_visible()

    with page.expect_download() as download:
        fingers.tap(page.locator("#download"))
    before, after = pixels(marked.read_bytes()), pixels(download.value.path().read_bytes())
    assert after.shape == before.shape
    changed = np.argwhere((before != after).any(axis=-1)) / before.shape[:2]
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    assert 0.2 < top < 0.4 < bottom < 0.7 and 0.2 < left < 0.4 and 0.5 < right < 0.8


def test_a_finger_may_go_on_from_the_result_and_open_another_picture(page: Page, marked: Path) -> None:
    fingers, bench = Fingers(page), Bench(page)
    page.goto("/")
    bench.choose(marked)
    fingers.tap(page.get_by_role("radio", name="Rectangle"))
    fingers.move(line(bench.point(0.4, 0.5), bench.point(0.6, 0.55)))
    fingers.tap(page.locator("#erase"))
    bench.wait_for_step(1)
    fingers.tap(page.get_by_role("radio", name="Brush"))
    fingers.move(line(bench.point(0.4, 0.7), bench.point(0.6, 0.7)))
    fingers.tap(page.locator("#erase"))
    bench.wait_for_step(2)
    fingers.tap(page.locator(".step").first)
    expect(page.locator(".step").first).to_have_attribute("aria-current", "step")
    with page.expect_file_chooser(timeout=LONG_MS) as chooser:
        fingers.tap(page.locator("#another"))
    assert chooser.value.is_multiple()
    assert_fits(page)
