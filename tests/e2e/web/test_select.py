"""A click or a rough stroke selects the mark's shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page, expect

from tests.browser import assert_accessible
from tests.e2e.web.bench import Bench, pixels
from tests.running import until


@pytest.fixture
def word(tmp_path: Path, marked: Path) -> tuple[Path, Image.Image]:
    """A picture with a word on it, and the word's shape."""
    with Image.open(marked.parents[1] / "originals" / marked.name) as opened:
        picture = opened.convert("RGB")
    shape = Image.new("L", picture.size)
    middle = (picture.width // 2, picture.height // 2)
    ImageDraw.Draw(shape).text(middle, "HHH", fill=255, anchor="mm", font=ImageFont.load_default(80))
    picture.paste((20, 40, 220), mask=shape)
    path = tmp_path / "word.png"
    picture.save(path)
    return path, shape


@pytest.mark.parametrize("places", [[(0.5, 0.5)], [(0.3, 0.5), (0.7, 0.5)]], ids=["click", "stroke"])
def test_the_marks_shape_becomes_the_mask(
    page: Page, word: tuple[Path, Image.Image], places: list[tuple[float, float]]
) -> None:
    picture, shape = word
    bench = Bench(page)
    bench.open(picture)
    page.keyboard.press("s")
    page.locator("#size").fill("80")
    bench.drag(*places)
    expect(page.get_by_role("button", name="Save the mask")).to_be_enabled()
    assert_accessible(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the mask").click()
    mask = pixels(download.value.path().read_bytes())[..., 0] > 0
    truth = np.asarray(shape) >= 128
    assert (mask & truth).sum() / (mask | truth).sum() > 0.9
    page.keyboard.press("Control+z")
    expect(page.get_by_role("button", name="Save the mask")).to_be_disabled()


def test_a_selection_needs_no_network(page: Page, word: tuple[Path, Image.Image]) -> None:
    loaded: set[str] = set()
    page.on("requestfinished", lambda request: loaded.add(request.url.rpartition("/")[2]))
    with page.expect_event("worker"):
        Bench(page).open(word[0])

    def is_ready() -> bool:
        page.wait_for_timeout(20)
        return {"masks.js", "runlengths.js", "finding.js", "selecting-worker.js", "selecting.js"} <= loaded

    until(is_ready, "what the work needs was not loaded")
    page.workers[0].evaluate("1")
    page.context.set_offline(True)
    page.keyboard.press("s")
    Bench(page).drag((0.5, 0.5))
    expect(page.get_by_role("button", name="Save the mask")).to_be_enabled()
    page.context.set_offline(False)
