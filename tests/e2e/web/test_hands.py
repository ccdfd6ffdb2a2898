"""Touch, pen and wheel on the canvas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import PHONE, read_stage, signed_in, state_rights
from tests.e2e.web.bench import Bench, pixels
from tests.embedded import Embedded


def pointers(page: Page, kind: str, *events: tuple[str, int, float, float, int]) -> None:
    """Send pointer events to the canvas: type, pointer id, position and buttons of each."""
    page.evaluate(
        """([kind, events]) => {
            const canvas = document.getElementById('canvas');
            canvas.setPointerCapture = () => {}; // made-up pointers cannot be captured
            for (const [type, pointerId, clientX, clientY, buttons] of events) {
                canvas.dispatchEvent(new PointerEvent(type, {
                    pointerId, clientX, clientY, buttons, pointerType: kind, bubbles: true, cancelable: true,
                    button: type === 'pointermove' ? -1 : 0,
                }));
            }
        }""",
        [kind, events],
    )


@pytest.fixture
def bench(page: Page, marked: Path) -> Bench:
    bench = Bench(page)
    bench.open(marked)
    return bench


def test_two_fingers_enlarge_and_paint_nothing(browser: Browser, service: Embedded, marked: Path) -> None:
    with signed_in(browser, service, viewport=PHONE, has_touch=True) as context:
        state_rights(context)
        bench = Bench(context.new_page())
        bench.open(marked)
        before = read_stage(bench.page)
        (x, y), far = bench.point(0.5, 0.5), 80
        pointers(
            bench.page,
            "touch",
            ("pointerdown", 1, x - 20, y, 1),
            ("pointerdown", 2, x + 20, y, 1),
            ("pointermove", 1, x - far, y, 1),
            ("pointermove", 2, x + far, y, 1),
            ("pointerup", 1, x - far, y, 0),
            ("pointerup", 2, x + far, y, 0),
        )
        assert read_stage(bench.page) != before
        expect(bench.page.locator("#undo")).to_be_disabled()
        pointers(
            bench.page,
            "touch",
            ("pointerdown", 3, x, y, 1),
            ("pointermove", 3, x + 30, y + 10, 1),
            ("pointerup", 3, x + 30, y + 10, 0),
        )
        expect(bench.page.locator("#undo")).to_be_enabled()


@pytest.mark.parametrize("kind", ["touch", "pen", "mouse"])
def test_a_lasso_is_drawn_by_every_hand(bench: Bench, marked: Path, kind: str) -> None:
    bench.page.get_by_role("radio", name="Lasso").click()
    around = [bench.point(*place) for place in ((0.4, 0.6), (0.6, 0.6), (0.6, 0.7), (0.4, 0.7))]
    strokes = [("pointermove", 1, x, y, 1) for x, y in around[1:]]
    pointers(bench.page, kind, ("pointerdown", 1, *around[0], 1), *strokes, ("pointerup", 1, *around[-1], 0))
    bench.erase()
    before = pixels(marked.read_bytes())
    changed = np.argwhere((before != pixels(bench.download()[1])).any(axis=-1))
    height, width = before.shape[:2]
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    assert 0.4 * width - 12 <= left and right <= 0.6 * width + 12
    assert 0.6 * height - 12 <= top and bottom <= 0.7 * height + 12


def test_a_pens_other_end_erases(bench: Bench) -> None:
    clean = read_stage(bench.page)
    (left, y), (right, _) = bench.point(0.3, 0.5), bench.point(0.7, 0.5)
    pointers(
        bench.page,
        "pen",
        ("pointerdown", 1, left, y, 1),
        ("pointermove", 1, right, y, 1),
        ("pointerup", 1, right, y, 0),
    )
    painted = read_stage(bench.page)
    assert painted != clean
    bench.page.locator("#size").fill("100")
    pointers(
        bench.page,
        "pen",
        ("pointerdown", 1, left, y, 32),
        ("pointermove", 1, right, y, 32),
        ("pointerup", 1, right, y, 0),
    )
    bench.page.evaluate("document.activeElement.blur()")
    bench.page.mouse.move(5, 5)
    assert read_stage(bench.page) not in {painted}


def test_the_wheel_sizes_the_brush_and_with_ctrl_enlarges(bench: Bench) -> None:
    size = bench.page.locator("#size")
    before = float(size.input_value())
    bench.page.mouse.move(*bench.point(0.5, 0.5))
    bench.page.mouse.wheel(0, -200)
    expect(size).not_to_have_value(str(round(before)))
    assert float(size.input_value()) > before
    larger = float(size.input_value())
    bench.page.keyboard.press("[")
    assert float(size.input_value()) < larger
    unzoomed, held = read_stage(bench.page), size.input_value()
    bench.page.keyboard.down("Control")
    bench.page.mouse.wheel(0, -200)
    bench.page.keyboard.up("Control")
    assert read_stage(bench.page) != unzoomed
    expect(size).to_have_value(held)


def test_the_divider_is_moved_by_hand_and_by_key(bench: Bench) -> None:
    bench.drag((0.4, 0.4), (0.5, 0.4))
    bench.erase()
    divider = bench.page.get_by_role("slider", name="How much of the picture before is shown")
    bench.page.locator("#canvas").click(position={"x": 5, "y": 100})
    expect(divider).to_have_value("0")
    divider.focus()
    bench.page.keyboard.press("End")
    expect(divider).to_have_value("100")
    bench.page.keyboard.press("b")
    expect(divider).to_be_hidden()
