"""No work on the page of one picture is lost: by a reload, a crash, another picture or a step back."""

from __future__ import annotations

import base64
import io
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Error, Page, expect

from tests.browser import HeldRequests, assert_accessible, read_stage
from tests.e2e.web.bench import LONG_MS, Bench, pixels
from tests.running import until

_KEPT = """() => new Promise((resolve, reject) => {
    const opening = indexedDB.open(%s, 1);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
        const reading = opening.result.transaction('works').objectStore('works').getAll();
        reading.onsuccess = () => {
            opening.result.close();
            resolve(reading.result.map((one) => [one.name, one.steps.map((step) => step.strokes.done.length)]));
        };
    };
})"""


@pytest.fixture
def bench(page: Page, marked: Path) -> Bench:
    bench = Bench(page)
    bench.open(marked)
    return bench


@pytest.fixture
def shirts(marked: Path, tmp_path: Path) -> list[Path]:
    """Three pictures under names of their own."""
    names = [tmp_path / f"shirt-{number}.png" for number in (1, 2, 3)]
    for name in names:
        shutil.copy(marked, name)
    return names


def kept(page: Page) -> list[list[object]]:
    """The names of the kept pictures, with the number of strokes on each step."""
    owner = page.locator("#bench").get_attribute("data-owner")
    works: list[list[object]] = page.evaluate(_KEPT % repr(f"cleanplate-works-{owner}"))
    return sorted(works)


def wait_until_kept(page: Page, expected: list[list[object]]) -> None:
    """Wait until the browser has the newest state."""
    until(lambda: kept(page) == expected, lambda: f"the browser has {kept(page)}")


def test_a_reload_and_a_crash_bring_everything_back(bench: Bench, context: BrowserContext, marked: Path) -> None:
    page = bench.page
    bench.drag((0.2, 0.2), (0.3, 0.2))
    bench.erase()
    _, result = bench.download()
    page.keyboard.press("b")
    bench.drag((0.6, 0.6), (0.7, 0.6))
    page.mouse.move(0, 0)
    before = read_stage(page)
    wait_until_kept(page, [[marked.name, [1, 1]]])
    page.reload()
    expect(page.locator("#name")).to_have_text(marked.name)
    expect(page.locator(".step[aria-current]")).to_have_text("Step 1")
    assert read_stage(page) == before
    assert bench.download()[1] == result
    crash(page)
    other = Bench(context.new_page())
    other.page.goto("/")
    expect(other.page.locator("#name")).to_have_text(marked.name)
    expect(other.page.locator(".step")).to_have_count(2)
    assert other.download()[1] == result


def crash(page: Page) -> None:
    """End the page's process, so that nothing of it can run any more."""
    with page.expect_event("crash"), suppress(Error):  # the navigation itself never ends
        page.goto("chrome://crash", wait_until="commit")


def test_a_tab_beside_does_not_take_the_pictures_of_an_open_one(bench: Bench, context: BrowserContext) -> None:
    bench.drag((0.2, 0.2), (0.3, 0.2))
    beside = context.new_page()
    beside.goto("/", wait_until="networkidle")
    expect(beside.get_by_role("heading", name="Drop a picture")).to_be_visible()


def test_a_repair_that_runs_while_the_page_is_left_is_not_lost(bench: Bench, marked: Path) -> None:
    page = bench.page
    results = HeldRequests(page, "**/v1/jobs/*/images*")
    bench.drag((0.2, 0.2), (0.3, 0.2))
    page.keyboard.press("Enter")
    results.wait()
    wait_until_kept(page, [[marked.name, [1]]])
    page.unroute_all()
    page.reload()
    bench.wait_for_step(1)


def test_several_files_become_a_strip_with_steps_and_paint_of_their_own(page: Page, shirts: list[Path]) -> None:
    bench = Bench(page)
    page.goto("/")
    page.set_input_files("#file", shirts)
    choices = page.locator(".work-choice")
    expect(choices).to_have_count(3)
    expect(page.locator("#name")).to_have_text("shirt-1.png")
    bench.drag((0.4, 0.4), (0.5, 0.4))
    assert_accessible(page)
    bench.erase()
    page.keyboard.press("PageDown")
    expect(page.locator("#name")).to_have_text("shirt-2.png")
    expect(page.locator(".step")).to_have_count(1)
    page.get_by_role("button", name="Use the mask of shirt-1.png").click()
    expect(page.get_by_role("button", name="Erase", exact=True)).to_be_enabled()
    bench.erase()
    choices.nth(0).click()
    expect(page.locator(".step")).to_have_count(2)
    page.get_by_role("button", name="Erase the same in all").click()
    expect(choices.nth(2)).to_contain_text("clean", timeout=LONG_MS)
    expect(page.get_by_role("button", name="Erase the same in all")).to_be_hidden()
    page.reload()
    expect(choices).to_have_count(3)
    expect(page.locator(".work-state")).to_have_text(["clean", "clean", "clean"])


def test_a_picture_that_is_pasted_over_paint_joins_the_painted_one(bench: Bench, marked: Path) -> None:
    page = bench.page
    bench.drag((0.4, 0.4), (0.5, 0.4))
    page.evaluate(
        """(data) => {
            const files = new DataTransfer();
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            files.items.add(new File([bytes], 'pasted.png', {type: 'image/png'}));
            dispatchEvent(new ClipboardEvent('paste', {clipboardData: files}));
        }""",
        base64.b64encode(marked.read_bytes()).decode(),
    )
    expect(page.locator("#name")).to_have_text("pasted.png")
    expect(page.get_by_role("button", name="Erase", exact=True)).to_be_disabled()
    page.locator(".work-choice").first.click()
    expect(page.locator("#name")).to_have_text(marked.name)
    expect(page.get_by_role("button", name="Erase", exact=True)).to_be_enabled()
    page.get_by_role("button", name=f"Put {marked.name} away").click()
    dialog = page.get_by_role("dialog", name=f"Put {marked.name} away?")
    assert_accessible(page)
    dialog.get_by_role("button", name="Put away").click()
    expect(page.locator("#name")).to_have_text("pasted.png")
    page.reload()
    expect(page.locator("#name")).to_have_text("pasted.png")


def test_a_step_painted_on_an_earlier_one_says_so_and_holds_nothing_of_later_ones(bench: Bench, marked: Path) -> None:
    page = bench.page
    page.get_by_role("radio", name="Rectangle").click()
    bench.drag((0.2, 0.2), (0.3, 0.25))
    bench.erase(1)
    page.get_by_role("button", name="Original", exact=True).click()
    page.keyboard.press("Control+z")
    bench.drag((0.6, 0.8), (0.7, 0.85))
    page.get_by_role("button", name="Erase", exact=True).click()
    expect(page.locator(".step[aria-current]")).to_contain_text("from “Original”", timeout=LONG_MS)
    source, result = pixels(marked.read_bytes()), pixels(bench.download()[1])
    changed = np.argwhere((source != result).any(axis=-1))
    assert changed[:, 0].min() > 0.7 * source.shape[0]


def test_keys_show_the_original_pan_save_and_open_the_sheet(bench: Bench) -> None:
    page = bench.page
    bench.drag((0.3, 0.3), (0.6, 0.5))
    page.keyboard.press("Control+s")
    expect(page.get_by_text("There is no result to save yet")).to_be_visible()
    bench.erase()
    page.keyboard.press("b")
    page.mouse.move(0, 0)
    result = read_stage(page)
    bench.canvas.focus()
    page.keyboard.down("Tab")
    assert read_stage(page) != result
    page.keyboard.up("Tab")
    assert read_stage(page) == result
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") != "canvas"
    bench.canvas.focus()
    page.keyboard.press("+")
    page.keyboard.press("+")
    before = read_stage(page)
    page.keyboard.down("Space")
    bench.drag((0.5, 0.5), (0.6, 0.6))
    page.keyboard.up("Space")
    page.mouse.move(0, 0)
    assert read_stage(page) != before
    expect(page.locator("#undo")).to_be_disabled()
    with page.expect_download():
        page.keyboard.press("Control+s")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys and gestures")).to_be_visible()


def test_a_mask_is_saved_as_a_picture_and_opened_again(bench: Bench, marked: Path, tmp_path: Path) -> None:
    page = bench.page
    page.get_by_role("radio", name="Rectangle").click()
    bench.drag((0.25, 0.25), (0.5, 0.75))
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the mask").click()
    assert download.value.suggested_filename == f"{marked.stem}-mask.png"
    file = download.value.path().read_bytes()
    mask = pixels(file)
    assert mask.shape == pixels(marked.read_bytes()).shape
    assert set(np.unique(mask)) == {0, 255}
    assert abs((mask > 0).mean() - 0.125) < 0.01
    saved = tmp_path / "mask.png"
    saved.write_bytes(file)
    page.keyboard.press("Control+z")
    page.set_input_files("#mask-file", saved)
    with page.expect_download() as again:
        page.get_by_role("button", name="Save the mask").click()
    assert np.array_equal(pixels(again.value.path().read_bytes()), mask)
    wrong = io.BytesIO()
    Image.new("L", (300, 100)).save(wrong, "PNG")
    saved.write_bytes(wrong.getvalue())
    page.set_input_files("#mask-file", saved)
    expect(page.get_by_role("alert")).to_contain_text("The mask does not fit the picture")
