"""Each kind of file that is no usable picture is refused in its own sentence, with a way out and no console error."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser import signed_in
from tests.embedded import Embedded


def jpeg() -> bytes:
    noise = np.random.default_rng(3).integers(0, 255, (300, 400, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def encoded(format_name: str, size: tuple[int, int] = (400, 300)) -> bytes:
    """A plain picture; of one bit a pixel where it is a PNG."""
    file = io.BytesIO()
    Image.new("1" if format_name == "PNG" else "RGB", size).save(file, format_name)
    return file.getvalue()


def damaged_png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (400, 300), (9, 99, 199)).save(file, "PNG")
    whole = bytearray(file.getvalue())
    whole[45:60] = bytes(15)
    return bytes(whole)


#: Names, bytes, and what the page says of them.
FILES: list[tuple[str, Callable[[], bytes], str]] = [
    ("half.jpg", lambda: jpeg()[: len(jpeg()) // 2], "The file is cut off"),
    ("logo.svg", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0h9v9z"/></svg>', "An SVG is a drawing"),
    ("logo.png", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "An SVG is a drawing"),
    ("empty.png", bytes, "The file is empty"),
    ("letter.jpg", lambda: b"Dear Sir", "This is text, not a picture"),
    ("price-list.pdf", lambda: b"%PDF-1.7\n\xe2\xe3", "A PDF is a document"),
    ("spring.zip", lambda: b"PK\x03\x04 and so on", "A ZIP holds many files"),
    ("noise.png", lambda: bytes(range(1, 9)) * 100, "This browser cannot show the file"),
    ("damaged.png", damaged_png, "The picture is damaged"),
    ("half.webp", lambda: encoded("WEBP")[:-40], "The file is cut off"),
    ("half.avif", lambda: encoded("AVIF")[:-40], "The file is cut off"),
    ("many.png", lambda: encoded("PNG", (30_000, 4000)), "The picture has too many pixels"),
    ("unshown.png", lambda: encoded("PNG", (30_000, 20_000)), "The picture has too many pixels"),
]


@pytest.mark.parametrize(("locale", "language"), [("en-GB", "en"), ("zh-CN", "zh-CN")])
def test_each_kind_of_bad_file_has_its_own_sentence(
    browser: Browser, service: Embedded, tmp_path: Path, locale: str, language: str
) -> None:
    with signed_in(browser, service, locale=locale) as context:
        page = context.new_page()
        page.goto("/")
        expect(page.locator("html")).to_have_attribute("lang", language)
        said: set[str] = set()
        for name, content, sentence in FILES:
            file = tmp_path / name
            file.write_bytes(content())
            page.set_input_files("#file", file)
            alert = page.get_by_role("alert")
            expect(alert).to_contain_text(name)
            text = alert.inner_text()
            if language == "en":
                assert sentence in text, text
            else:
                assert sentence not in text, text
            said.add(text.partition(":")[2])
            alert.get_by_role("button").click()
        # Three are cut off, two drawings; the numbers of pixels differ.
        assert len(said) == len(FILES) - 3


def test_a_folder_that_is_dropped_is_told_what_to_do(page: Page, tmp_path: Path, marked: Path) -> None:
    (tmp_path / "spring").mkdir()
    page.goto("/", wait_until="networkidle")
    dropped = {"items": [], "files": [str(tmp_path / "spring"), str(marked)], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for event in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": event, "x": 300, "y": 300, "data": dropped})
    expect(page.get_by_role("alert")).to_contain_text("spring: The file cannot be read")
    expect(page.locator("#name")).to_have_text(marked.name)


def test_a_file_over_the_limit_is_told_both_sizes(page: Page, tmp_path: Path) -> None:
    page.goto("/")
    file = tmp_path / "large.png"
    with file.open("wb") as out:
        out.truncate(int(page.locator("#bench").get_attribute("data-max-bytes") or 0) + 1_000_000)
    page.set_input_files("#file", file)
    expect(page.get_by_role("alert")).to_contain_text("The picture's file is too large")


def test_a_damaged_zip_on_the_catalogue_page_is_told_by_its_name(page: Page, tmp_path: Path, marked: Path) -> None:
    file = tmp_path / "spring.zip"
    file.write_bytes(b"PK\x03\x04 and no more")
    page.goto("/jobs/new")
    page.set_input_files("#files-input", file)
    expect(page.get_by_role("alert")).to_contain_text("spring.zip cannot be unpacked")
    page.set_input_files("#files-input", marked)
    expect(page.locator("#shipment-text")).to_contain_text("1")
