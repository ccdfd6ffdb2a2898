"""Text marks in the browser: the page asks for the text or the place of a mark, and the job removes it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests import patient
from tests.browser import PHONE, assert_accessible, signed_in, state_rights
from tests.embedded import Embedded
from tests.texts import HEIGHT, WIDTH, Pixels, goods, laid, letters, printed

#: For a busy machine; a worker loads its text networks with the first image.
LONG_MS = 180_000
#: Centre of the mark, as shares of the picture's sides.
PLACE = (0.7, 0.85)


@pytest.fixture
def marked() -> tuple[Pixels, np.ndarray]:  # type: ignore[type-arg]
    """A picture with a printed product and a mark in its lower right corner, and the pixels of the mark's ink."""
    return laid(printed(), letters("Doe Shirts"), PLACE)


@pytest.fixture
def folder(tmp_path: Path, marked: tuple[Pixels, np.ndarray]) -> Path:  # type: ignore[type-arg]
    """A folder with that picture, one with print alone, and one without text."""
    path = tmp_path / "shop"
    path.mkdir()
    for name, pixels in (("a-marked", marked[0]), ("b-printed", printed(2)), ("c-plain", goods(3))):
        Image.fromarray(pixels).save(path / f"{name}.png")
    return path


@pytest.fixture
def texts(page: Page, folder: Path) -> Iterator[Page]:
    """The page of a new job, with its pictures sent and *Text* selected."""
    page.goto("/jobs/new")
    page.set_input_files("#folder-input", folder)
    expect(page.locator("#shipment-text")).to_contain_text("3 of 3 pictures sent")
    page.locator("#ways-of-marking").get_by_text("Text", exact=True).click()
    yield page


def submit_form(page: Page, service: Embedded) -> dict[str, object]:
    """Submit the form and wait for the job to end; the API's answer for the job."""
    page.get_by_role("button", name="Clean the pictures").click()
    page.wait_for_url(re.compile(r"/jobs/job_"), timeout=LONG_MS)
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
    answer = patient.get(f"{service.url}/v1/jobs/{page.url.rpartition('/')[2]}", headers=_key(service))
    job: dict[str, object] = answer.json()
    return job


def images_of(job: dict[str, object], service: Embedded) -> list[dict[str, object]]:
    images: list[dict[str, object]] = patient.get(
        f"{service.url}/v1/jobs/{job['id']}/images", headers=_key(service)
    ).json()["data"]
    return images


def result_of(image: dict[str, object], service: Embedded) -> Pixels:
    address = f"{service.url}/v1/images/{image['id']}/result"
    answer = patient.get(address, headers=_key(service), follow_redirects=True)
    with Image.open(io.BytesIO(answer.content)) as opened:
        return np.asarray(opened.convert("RGB"))


def _key(service: Embedded) -> dict[str, str]:
    return {"Authorization": f"Bearer {service.key}"}


def test_a_mark_named_by_its_text_is_removed_and_print_stays(
    texts: Page,
    service: Embedded,
    marked: tuple[Pixels, np.ndarray],  # type: ignore[type-arg]
) -> None:
    missing = texts.locator("#missing")
    expect(missing).to_have_text("Still missing: what the mark says, or where it lies.")
    expect(texts.locator("#marking")).to_be_hidden()
    texts.get_by_label("What the mark says").fill("©")
    expect(missing).to_have_text("Each text needs two letters or digits at least.")
    texts.get_by_label("What the mark says").fill("DOE shirts\nsomething else")
    expect(missing).to_have_text("")
    assert_accessible(texts)
    job = submit_form(texts, service)
    assert job["mask"] == {"mode": "text", "texts": ["DOE shirts", "something else"]}
    expect(texts.locator("#left-alone")).to_contain_text("2 pictures were left as they are, bit for bit")
    first, *others = images_of(job, service)
    assert [image["state"] for image in (first, *others)] == ["succeeded", "skipped", "skipped"]
    before, ink = marked
    after = result_of(first, service)
    assert np.array_equal(after[: HEIGHT // 2], before[: HEIGHT // 2])
    assert np.abs(after.astype(int) - before)[ink].mean() > 20
    texts.get_by_role("button", name="a-marked.png, before and after").click()
    expect(texts.locator("#zoom-facts")).to_contain_text("taken off: Doe Shirts")


def test_a_mark_is_taken_off_where_a_box_says_that_it_lies(texts: Page, service: Embedded) -> None:
    texts.get_by_label("Where it lies").select_option("drawn")
    expect(texts.locator("#missing")).to_have_text("Still missing: a box on the sample, where the mark lies.")
    expect(texts.locator("#tools [data-tool=rectangle]")).to_have_attribute("aria-checked", "true")
    expect(texts.locator("#tools [data-tool=brush]")).to_be_hidden()
    expect(texts.locator("#marking-none")).to_be_hidden()
    canvas = texts.locator("#canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    scale = min((box["width"] - 32) / WIDTH, (box["height"] - 32) / HEIGHT, 4)
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for number, (x, y) in enumerate(((0.4, 0.7), (0.98, 0.98))):
        texts.mouse.move(middle[0] + (x - 0.5) * WIDTH * scale, middle[1] + (y - 0.5) * HEIGHT * scale, steps=4)
        (texts.mouse.down, texts.mouse.up)[number]()
    expect(texts.locator("#missing")).to_have_text("")
    assert_accessible(texts)
    job = submit_form(texts, service)
    mask = job["mask"]
    assert isinstance(mask, dict)
    ((left, top, width, height),) = mask["areas"]
    assert abs(left - 0.4) < 0.02 and abs(top - 0.7) < 0.02
    assert abs(width - 0.58) < 0.03 and abs(height - 0.28) < 0.03
    assert [image["state"] for image in images_of(job, service)] == ["succeeded", "skipped", "skipped"]


def test_by_keys_alone_a_corner_is_chosen_and_all_text_instead(texts: Page, service: Embedded) -> None:
    texts.locator("#ways-of-marking input:checked").focus()
    texts.keyboard.press("Tab")
    expect(texts.get_by_label("What the mark says")).to_be_focused()
    texts.keyboard.press("Tab")
    expect(texts.get_by_label("Where it lies")).to_be_focused()
    where = texts.get_by_label("Where it lies")
    for _ in range(where.locator("option").count()):
        if where.input_value() != "bottom_right":
            texts.keyboard.press("ArrowDown")
    expect(where).to_have_value("bottom_right")
    expect(texts.locator("#missing")).to_have_text("")
    texts.keyboard.press("Tab")
    texts.keyboard.press("Space")
    expect(texts.get_by_label("Where it lies")).to_be_disabled()
    job = submit_form(texts, service)
    assert job["mask"] == {"mode": "text", "any_text": True}
    assert [image["state"] for image in images_of(job, service)] == ["succeeded", "succeeded", "skipped"]


@pytest.mark.parametrize(
    "options",
    [
        {"locale": "zh-CN", "color_scheme": "dark"},
        {"locale": "zh-CN", "viewport": PHONE, "has_touch": True, "reduced_motion": "reduce"},
    ],
    ids=["dark-zh", "phone-zh"],
)
def test_the_form_for_text_marks_is_accessible_and_fits(browser: Browser, service: Embedded, options: dict) -> None:  # type: ignore[type-arg]
    with signed_in(browser, service, **options) as context:
        state_rights(context)
        page = context.new_page()
        page.goto("/jobs/new")
        page.locator("#ways-of-marking").get_by_text("文字", exact=True).click()
        expect(page.get_by_label("水印文字")).to_be_visible()
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
