"""The service's reader decodes the page's run lengths to exactly the painted mask, at any size."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from playwright.sync_api import Page

from model.imaging.mask_files import decode_mask
from model.imaging.probing import Limits
from tests.e2e.web.bench import Bench

LIMITS = Limits(max_bytes=10_000_000, max_pixels=200_000_000)
_FILE_OF = """async ([shapes, width, height]) => {
    const { Strokes } = await import('/static/web/picture/strokes.js');
    const { maskFile } = await import('/static/web/picture/runlengths.js');
    const strokes = new Strokes();
    for (const shape of shapes) strokes.add(shape);
    const file = await maskFile(strokes, width, height);
    return file && file.text();
}"""


@pytest.fixture
def painted(page: Page) -> Any:
    """A function that encodes shapes as the page does, and decodes them as the service does."""
    page.goto("/")

    def paint(shapes: list[dict[str, Any]], width: int, height: int) -> NDArray[np.uint8] | None:
        text = page.evaluate(_FILE_OF, [shapes, width, height])
        if text is None:
            return None
        return decode_mask(text.encode(), LIMITS, width=width, height=height, max_marked_share=1)

    return paint


def area(left: float, top: float, right: float, bottom: float, *, erases: bool = False) -> dict[str, Any]:
    return {"kind": "area", "points": [[left, top], [right, top], [right, bottom], [left, bottom]], "erases": erases}


def line(size: float, *points: tuple[float, float], erases: bool = False) -> dict[str, Any]:
    return {"kind": "line", "size": size, "points": [list(point) for point in points], "erases": erases}


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 5), (64, 48), (3000, 1999), (12_000, 9_000), (65_000, 30)])
def test_areas_are_exact_at_any_size(painted: Any, width: int, height: int) -> None:
    left, top, right, bottom = (
        width // 4,
        height // 5,
        max(width // 4 + 1, width // 2),
        max(height // 5 + 1, height - 2),
    )
    expected = np.zeros((height, width), np.uint8)
    expected[top:bottom, left:right] = 255
    assert np.array_equal(painted([area(left, top, right, bottom)], width, height), expected)


def test_paint_beyond_the_edge_is_cut_off(painted: Any) -> None:
    expected = np.zeros((20, 30), np.uint8)
    expected[:5, 25:] = 255
    assert np.array_equal(painted([area(25, -40, 90, 5)], 30, 20), expected)


def test_the_eraser_takes_away_and_paint_over_it_comes_back(painted: Any) -> None:
    shapes = [area(0, 0, 10, 10), area(2, 2, 8, 8, erases=True), area(4, 4, 6, 6)]
    expected = np.zeros((12, 12), np.uint8)
    expected[:10, :10] = 255
    expected[2:8, 2:8] = 0
    expected[4:6, 4:6] = 255
    assert np.array_equal(painted(shapes, 12, 12), expected)


def test_an_empty_painting_gives_no_mask(painted: Any) -> None:
    assert painted([], 10, 10) is None
    assert painted([area(1, 1, 5, 5), {"kind": "clear"}], 10, 10) is None
    assert painted([area(1, 1, 5, 5), area(0, 0, 9, 9, erases=True)], 10, 10) is None
    assert painted([line(3, (-50, -50))], 10, 10) is None


def test_lines_are_round_strokes_of_their_size(painted: Any) -> None:
    mask = painted([line(20, (40, 60), (160, 60)), line(8, (100, 20))], 200, 100)
    reference = Image.new("L", (200, 100))
    pen = ImageDraw.Draw(reference)
    pen.rectangle((40, 50, 160, 69), fill=255)
    for x, y, radius in ((40, 60, 10), (160, 60, 10), (100, 20, 4)):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    differing = np.argwhere(mask != np.asarray(reference))
    assert len(differing) < 200  # the two round off the rims differently
    assert abs(int((mask > 0).sum()) - (120 * 20 + np.pi * 10**2 + np.pi * 4**2)) < 60


@pytest.mark.slow
def test_a_hundred_megapixels_are_worked_on_by_a_preview_and_sent_whole(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    source = tmp_path / "large.png"
    Image.new("L", (12_500, 8_000), 200).save(source, compress_level=1)
    bench = Bench(page)
    bench.open(source)
    page.get_by_role("radio", name="Rectangle").click()
    bench.drag((0.5, 0.5), (0.52, 0.52))
    with page.expect_request("**/v1/jobs") as submission:
        page.keyboard.press("Enter")
    assert submission.value.post_data_json["images"][0]["name"] == "large.png"
    bench.wait_for_step(1)
    _, file = bench.download()
    with Image.open(io.BytesIO(file)) as result:
        assert (result.size, result.mode) == ((12_500, 8_000), "L")
