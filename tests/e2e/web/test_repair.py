"""The page of one picture, from the opened file to the downloaded result."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests import patient
from tests.browser import PHONE, HeldRequests, assert_accessible, signed_in, state_rights
from tests.e2e.web.bench import LONG_MS, Bench, pixels
from tests.embedded import Embedded


def heic_of(picture: Path, path: Path) -> Path:
    """Write the picture in a format that the browser cannot show."""
    register_heif_opener()
    with Image.open(picture) as image:
        image.convert("RGB").save(path, "HEIF")
    return path


@pytest.fixture
def bench(page: Page, marked: Path) -> Bench:
    bench = Bench(page)
    bench.open(marked)
    return bench


def test_paint_and_erase_ends_with_a_file_that_is_the_source_outside_the_mask(bench: Bench, marked: Path) -> None:
    bench.drag((0.15, 0.7), (0.8, 0.3))
    bench.erase()
    name, file = bench.download()
    assert name == f"{marked.stem}-clean.png"
    source, result = pixels(marked.read_bytes()), pixels(file)
    assert source.shape == result.shape
    changed = np.argwhere((source != result).any(axis=-1))
    assert len(changed) > 500
    # The line from (60, 373) to (320, 160), with the brush, its dilation and its feathering around it.
    start, end = np.array([373, 60]), np.array([160, 320])
    along = (end - start) / np.linalg.norm(end - start)
    away = changed - start
    beside = np.abs(along[0] * away[:, 1] - along[1] * away[:, 0])
    assert beside.max() < 40


def test_the_original_and_the_step_stay_in_view_on_a_low_screen(bench: Bench) -> None:
    bench.page.set_viewport_size({"width": 1280, "height": 720})
    bench.drag((0.2, 0.2), (0.3, 0.2))
    bench.erase()
    for step in bench.page.locator(".step").all():
        expect(step).to_be_in_viewport(ratio=0.99)
    expect(bench.page.get_by_role("link", name="Download")).to_be_in_viewport(ratio=0.99)


def test_the_next_step_begins_with_the_result_and_an_earlier_one_can_be_gone_back_to(bench: Bench) -> None:
    bench.drag((0.2, 0.2), (0.3, 0.2))
    bench.erase(1)
    _, first = bench.download()
    bench.page.get_by_role("radio", name="Rectangle").click()
    bench.drag((0.6, 0.8), (0.7, 0.85))
    bench.erase(2)
    _, second = bench.download()
    before, after = pixels(first), pixels(second)
    changed = np.argwhere((before != after).any(axis=-1))
    assert changed[:, 0].min() > 0.75 * before.shape[0]
    bench.page.get_by_role("button", name="Step 1").click()
    assert bench.download()[1] == first
    bench.page.get_by_role("button", name="Original", exact=True).click()
    expect(bench.page.get_by_role("link", name="Download")).to_be_hidden()


def test_a_jpeg_stays_a_jpeg_and_is_never_encoded_by_the_browser(page: Page, tmp_path: Path, service: Embedded) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3), np.uint8)
    source = tmp_path / "noise.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: the page and the mask use the viewing orientation
    Image.fromarray(noise).save(source, quality=90, exif=exif)
    bench = Bench(page)
    bench.open(source)
    assert page.locator("#facts").get_attribute("data-size") == "300x400"
    page.get_by_role("radio", name="Rectangle").click()
    bench.drag((0.1, 0.05), (0.3, 0.15))
    bench.erase()
    name, file = bench.download()
    assert name == "noise-clean.jpg"
    with Image.open(io.BytesIO(file)) as image:
        assert (image.format, image.size, image.getexif()[0x0112]) == ("JPEG", (400, 300), 6)
    with Image.open(source) as image:
        stored = np.asarray(image.convert("RGB"))
    changed = np.argwhere((stored != pixels(file)).any(axis=-1))
    # The upper left of the viewing orientation is stored at the lower left.
    assert changed[:, 0].min() > 180
    assert changed[:, 1].max() < 100


def test_undo_redo_eraser_and_clear_decide_what_is_sent(bench: Bench) -> None:
    erase = bench.page.get_by_role("button", name="Erase", exact=True)
    expect(erase).to_be_disabled()
    bench.drag((0.2, 0.5), (0.8, 0.5))
    expect(erase).to_be_enabled()
    bench.page.keyboard.press("Control+z")
    expect(erase).to_be_disabled()
    bench.page.keyboard.press("Control+y")
    bench.page.keyboard.press("Delete")
    expect(erase).to_be_disabled()
    bench.page.keyboard.press("Control+z")
    expect(erase).to_be_enabled()
    bench.page.keyboard.press("e")
    bench.page.locator("#size").fill("80")
    bench.drag((0.1, 0.5), (0.9, 0.5))
    bench.page.get_by_role("button", name="Erase", exact=True).click()
    expect(bench.page.get_by_role("alert")).to_contain_text("The mask marks nothing")


def test_everything_can_be_done_with_the_keyboard(bench: Bench, marked: Path) -> None:
    keyboard = bench.page.keyboard
    bench.canvas.focus()
    keyboard.press("Space")
    for _ in range(12):
        keyboard.press("ArrowRight")
    keyboard.press("Space")
    keyboard.press("Enter")
    bench.wait_for_step(1)
    changed = np.argwhere((pixels(marked.read_bytes()) != pixels(bench.download()[1])).any(axis=-1))
    assert 190 <= changed[:, 1].mean() <= 300
    bench.canvas.focus()
    keyboard.press("c")
    expect(bench.page.get_by_role("slider", name="How much of the picture before is shown")).to_be_hidden()


def test_the_statement_of_rights_is_asked_for_once(browser: Browser, service: Embedded, marked: Path) -> None:
    with signed_in(browser, service) as context:
        bench = Bench(context.new_page())
        bench.open(marked)
        bench.drag((0.4, 0.4), (0.5, 0.4))
        bench.page.keyboard.press("Enter")
        dialog = bench.page.get_by_role("dialog", name="Your right to these pictures")
        expect(dialog).to_be_visible()
        assert_accessible(bench.page)
        dialog.get_by_label("their owner").check()
        dialog.get_by_label("Your name").fill("Jo <b>Doe</b>")
        dialog.get_by_label("Where it is written down").fill("own photographs")
        bench.page.keyboard.press("Enter")
        bench.wait_for_step(1)
        expect(bench.page.locator("#rights-text")).to_have_text("Jo <b>Doe</b> confirmed the right to these pictures.")
        bench.drag((0.6, 0.6), (0.7, 0.6))  # comparing: moves the divider
        bench.page.keyboard.press("b")
        bench.drag((0.6, 0.6), (0.7, 0.6))
        bench.erase(2)
    jobs = patient.get(f"{service.url}/v1/jobs?kind=repair", headers={"Authorization": f"Bearer {service.key}"}).json()[
        "data"
    ]
    assert jobs[0]["rights"] == {"basis": "owner", "attested_by": "Jo <b>Doe</b>", "reference": "own photographs"}


def test_a_refusal_is_shown_in_the_services_own_sentence(bench: Bench, context: BrowserContext) -> None:
    sentence = "The tenant may have 5 images queued or running; it has 5."
    problem = {"code": "quota_exceeded", "title": "Quota exceeded", "detail": sentence, "status": 422}
    context.route("**/v1/jobs", lambda route: route.fulfill(status=422, json=problem))
    bench.drag((0.4, 0.4), (0.5, 0.4))
    bench.page.keyboard.press("Enter")
    expect(bench.page.get_by_role("alert")).to_contain_text(sentence)
    expect(bench.page.get_by_role("button", name="Erase", exact=True)).to_be_enabled()
    assert_accessible(bench.page)
    context.complaints.clear()  # type: ignore[attr-defined] # the console logs the refusal too


def test_a_hint_is_shown_until_the_first_stroke(bench: Bench) -> None:
    hint = bench.page.get_by_text("Paint over the mark, then erase it.")
    expect(hint).to_be_visible()
    bench.drag((0.4, 0.4), (0.5, 0.4))
    expect(hint).to_be_hidden()


def test_dropping_and_pasting_bring_a_picture_in(page: Page, marked: Path) -> None:
    page.goto("/")
    handing = """([event, name, data]) => {
        const files = new DataTransfer();
        files.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, {type: 'image/png'}));
        const how = event === 'drop' ? new DragEvent('drop', {dataTransfer: files, cancelable: true})
                                     : new ClipboardEvent('paste', {clipboardData: files});
        dispatchEvent(how);
    }"""
    data = base64.b64encode(marked.read_bytes()).decode()
    for event in ("drop", "paste"):
        page.evaluate(handing, [event, f"{event}.png", data])
        expect(page.locator("#name")).to_have_text(f"{event}.png")


@pytest.mark.parametrize(
    "options",
    [
        {"locale": "en-GB", "color_scheme": "light"},
        {"locale": "zh-CN", "color_scheme": "dark"},
        {"locale": "zh-CN", "viewport": PHONE, "has_touch": True, "reduced_motion": "reduce"},
    ],
    ids=["light-en", "dark-zh", "phone-zh"],
)
def test_each_state_is_accessible_and_fits(browser: Browser, service: Embedded, marked: Path, options: dict) -> None:  # type: ignore[type-arg]
    with signed_in(browser, service, **options) as context:
        state_rights(context)
        page = context.new_page()
        bench = Bench(page)
        page.goto("/")
        assert_accessible(page)
        bench.choose(marked)
        bench.drag((0.4, 0.4), (0.6, 0.5))
        assert_accessible(page)
        page.locator("#erase").click()
        expect(page.locator("#busy")).to_be_visible()
        assert_accessible(page)
        expect(page.locator("#download")).to_be_visible(timeout=LONG_MS)
        assert_accessible(page)
        page.locator("#help").click()
        expect(page.locator("#keys")).to_be_visible()
        assert_accessible(page)
        wide, tall = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        size = page.viewport_size
        assert size is not None
        assert (wide, tall) == (size["width"], size["height"])


def test_a_repair_is_stopped_also_while_its_picture_is_sent(page: Page, marked: Path) -> None:
    sending = HeldRequests(page, "**/blobs/*")
    bench = Bench(page)
    bench.open(marked)
    bench.drag((0.4, 0.4), (0.5, 0.4))
    page.keyboard.press("Enter")
    sending.wait()
    busy = page.locator("#busy")
    page.get_by_role("button", name="Stop").click()
    expect(busy).to_be_hidden()
    with page.expect_response("**/blobs/*"):
        sending.go()
    expect(busy).to_be_hidden()
    bench.erase()


def test_the_picture_that_was_chosen_last_is_the_one_that_is_there(page: Page, marked: Path, tmp_path: Path) -> None:
    slow = heic_of(marked, tmp_path / "slow.heic")
    viewing = HeldRequests(page, "**/v1/uploads/*/view")
    bench = Bench(page)
    page.goto("/")
    page.set_input_files("#file", slow)
    viewing.wait()
    bench.choose(marked)
    viewing.go()
    expect(page.get_by_text("This browser cannot show the file: the service does")).to_be_hidden()
    expect(page.locator("#name")).to_have_text(marked.name)


def test_a_picture_that_comes_leaves_the_repair_of_the_one_before_going(
    page: Page, marked: Path, tmp_path: Path
) -> None:
    slow = heic_of(marked, tmp_path / "slow.heic")
    viewing = HeldRequests(page, "**/v1/uploads/*/view")
    bench = Bench(page)
    bench.open(marked)
    page.set_input_files("#file", slow)
    viewing.wait()
    handing_over = HeldRequests(page, "**/v1/jobs")
    bench.drag((0.4, 0.4), (0.5, 0.4))
    page.keyboard.press("Enter")
    handing_over.wait()
    viewing.go()
    expect(page.locator("#name")).to_have_text(slow.name)
    expect(page.locator("#busy")).to_be_hidden()
    handing_over.go()
    bench.drag((0.4, 0.4), (0.5, 0.4))
    bench.erase()
    expect(page.locator(".step")).to_have_count(2)
    page.locator(".work-choice").first.click()
    bench.wait_for_step(1)


@pytest.mark.parametrize("form", ["heic", "tif"])
def test_a_picture_that_the_browser_cannot_show_is_shown_by_the_service(
    page: Page, marked: Path, tmp_path: Path, form: str
) -> None:
    register_heif_opener()
    file = tmp_path / f"shirt.{form}"
    with Image.open(marked) as image:
        image.convert("RGB").save(file, {"heic": "HEIF", "tif": "TIFF"}[form])
    bench = Bench(page)
    bench.open(file)
    assert_accessible(page)
    bench.drag((0.4, 0.4), (0.5, 0.4))
    bench.erase()
    name, result = bench.download()
    assert name == f"shirt-clean.{form}"
    with Image.open(io.BytesIO(result)) as clean, Image.open(file) as source:
        assert (clean.format, clean.size) == (source.format, source.size)
