"""Marks that the service finds in one picture, its text or a logo that is given: paint, to be changed first."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cleanplate.base.settings import Settings
from storage.blobs import open_blobs
from storage.database import Database
from tests import patient
from tests.browser import PHONE, assert_accessible, signed_in, state_rights
from tests.catalogue import png
from tests.e2e.web.bench import LONG_MS, Bench
from tests.embedded import Embedded
from tests.running import until
from tests.texts import HEIGHT, WIDTH, goods, laid, letters
from workers.leader.sweeper import sweep


def painted(page: Page) -> np.ndarray:
    """What is painted, as the mask that the page saves."""
    with page.expect_download() as download:
        page.locator("#mask-save").click()
    with Image.open(io.BytesIO(download.value.path().read_bytes())) as mask:
        return np.asarray(mask.convert("L")) > 127


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def templates(service: Embedded) -> list[dict[str, object]]:
    headers = {"Authorization": f"Bearer {service.key}"}
    listed: list[dict[str, object]] = patient.get(f"{service.url}/v1/templates", headers=headers).json()["data"]
    return listed


@pytest.fixture
def marked_file(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A product with a translucent text on it, and the pixels of its ink."""
    marked, ink = laid(goods(), letters("Doe Shirts"), (0.6, 0.8))
    file = tmp_path / "goods.png"
    file.write_bytes(png(marked))
    return file, ink


@pytest.fixture(params=["transparent", "plain"])
def logo_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The logo as a picture with alpha, or as white letters on plain blue."""
    alpha = letters("SHOP", 60)
    file = tmp_path / f"logo-{request.param}.png"
    if request.param == "transparent":
        pixels = np.dstack([np.full((*alpha.shape, 3), 255), alpha * 255])
    else:
        padded = np.pad(alpha, 12)[..., None]
        pixels = padded * 255 + (1 - padded) * np.array([20, 40, 120])
    file.write_bytes(png(pixels.astype(np.uint8)))
    return file


def test_text_is_painted_and_undone_as_one_step(page: Page, marked_file: tuple[Path, np.ndarray]) -> None:
    file, ink = marked_file
    bench = Bench(page)
    bench.open(file)
    page.locator("#canvas").press("t")
    expect(page.get_by_text("Text found: “Doe Shirts”")).to_be_visible(timeout=LONG_MS)
    mask = painted(page)
    assert mask.shape == (HEIGHT, WIDTH)
    assert mask[ink].mean() > 0.9
    assert mask.mean() < 0.1
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#erase")).to_be_disabled()
    page.get_by_role("button", name="Redo").click()
    assert_accessible(page)
    bench.erase()


def test_a_picture_without_text_says_what_to_do(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "plain.png"
    file.write_bytes(png(goods(2)))
    Bench(page).open(file)
    page.get_by_role("button", name="Find text").click()
    expect(page.get_by_text("Paint over the mark, or select it by a click.")).to_be_visible(timeout=LONG_MS)
    expect(page.locator("#erase")).to_be_disabled()


def test_a_logo_is_found_with_how_sure_it_is(page: Page, tmp_path: Path, logo_file: Path) -> None:
    marked, ink = laid(goods(3), letters("SHOP", 60), (0.3, 0.7))
    file = tmp_path / "signed.png"
    file.write_bytes(png(marked))
    bench = Bench(page)
    bench.open(file)
    page.set_input_files("#logo-file", logo_file)
    expect(page.locator("#notices").get_by_text("% sure")).to_be_visible(timeout=LONG_MS)
    assert overlap(painted(page), ink) > 0.6
    assert_accessible(page)
    bench.erase()


def test_what_was_learnt_of_a_logo_goes_where_the_page_is_closed_amid_the_search(
    page: Page, service: Embedded, tmp_path: Path, logo_file: Path
) -> None:
    marked, _ = laid(goods(3), letters("SHOP", 60), (0.3, 0.7))
    file = tmp_path / "signed.png"
    file.write_bytes(png(marked))
    Bench(page).open(file)
    with page.expect_response("**/v1/jobs"):
        page.set_input_files("#logo-file", logo_file)
    page.close()
    assert templates(service)
    settings = Settings(home=service.home)
    with closing(Database.connect(settings.sqlalchemy_url)) as database:

        def is_swept() -> bool:
            sweep(database, open_blobs(settings), deliveries_kept_s=None)
            return not templates(service)

        until(is_swept, "what was learnt of the logo is kept")


def test_a_logo_that_is_not_there_says_what_to_do(page: Page, tmp_path: Path) -> None:
    alpha = letters("SHOP", 60)
    logo, file = tmp_path / "logo.png", tmp_path / "plain.png"
    logo.write_bytes(png(np.dstack([np.full((*alpha.shape, 3), 255), alpha * 255]).astype(np.uint8)))
    file.write_bytes(png(goods(4)))
    Bench(page).open(file)
    page.set_input_files("#logo-file", logo)
    expect(page.get_by_text("The logo is not found in the picture")).to_be_visible(timeout=LONG_MS)
    expect(page.get_by_text("Paint over it, or select it by a click.")).to_be_visible()
    expect(page.locator("#erase")).to_be_disabled()


def test_a_logo_on_a_photo_is_refused_before_anything_is_sent(page: Page, marked: Path) -> None:
    Bench(page).open(marked)
    page.set_input_files("#logo-file", marked)
    expect(page.get_by_text("The logo does not stand on one colour")).to_be_visible()


def test_a_search_is_stopped(page: Page, marked_file: tuple[Path, np.ndarray]) -> None:
    Bench(page).open(marked_file[0])
    with page.expect_response(lambda answer: answer.url.endswith("/cancel"), timeout=LONG_MS):
        with page.expect_response(lambda answer: answer.url.endswith("/v1/jobs"), timeout=LONG_MS):
            page.get_by_role("button", name="Find text").click()
        page.locator("#stop").click()
    expect(page.locator("#busy")).to_be_hidden()
    expect(page.locator("#erase")).to_be_disabled()
    expect(page.get_by_role("button", name="Find text")).to_be_enabled()


@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 360, "height": 740}, "has_touch": True},
        {"locale": "zh-CN", "color_scheme": "dark", "viewport": PHONE},
        {"viewport": {"width": 2560, "height": 1300}, "color_scheme": "dark"},
    ],
    ids=["narrow", "chinese-dark-phone", "wide-dark"],
)
def test_everything_is_reached_at_every_size(
    browser: Browser, service: Embedded, marked: Path, options: dict[str, object]
) -> None:
    with signed_in(browser, service, **options) as context:
        state_rights(context)
        page = context.new_page()
        Bench(page).open(marked)
        for button in ("find-text", "find-logo", "erase", "undo"):
            box = page.locator(f"#{button}").bounding_box()
            viewport = page.viewport_size
            assert box is not None and viewport is not None
            assert box["x"] >= 0 and box["x"] + box["width"] <= viewport["width"]
            assert box["y"] + box["height"] <= viewport["height"]
        assert_accessible(page)
