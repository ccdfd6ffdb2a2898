"""Every page of a service that has been used, in Chinese: no sentence on it is English."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cleanplate.client.http import Client
from tests.browser import forgive, signed_in, state_rights
from tests.e2e.web.catalogue import RIGHTS, api_client, folder_of, mask_in, submit_folder
from tests.embedded import Embedded, embedded
from tests.marked import marked_pictures
from tests.running import until

#: For a busy machine.
LONG_MS = 180_000
#: Names of formats, products and standards, and words that people write themselves in the test.
NAMES = {
    *("JPEG", "PNG", "WebP", "AVIF", "GIF", "BMP", "TIFF", "HEIC", "JSON", "ZIP", "CSV", "Lines", "SVG", "UTC"),
    *("Cleanplate", "API", "Webhook", "English", "Esc", "Shift", "Ctrl", "Space", "Tab", "Enter", "Alt", "Delete"),
    *(
        "Jo",
        "Doe",
        "own",
        "photographs",
        "spring",
        "local",
        "Shirts",
        "GiB",
        "MiB",
        "cpu",
        "https",
        "bucket",
        "folder",
    ),
    *("shirt", "png", "kB", "MB", "px", "localhost", "url", "upload_id", "custom_id", "big-lama"),
}
_ADDRESS = re.compile(r"https?://\S+")
#: The texts that a person reads or hears, without code, names of files, addresses and the switch of languages.
_TEXTS = """() => {
    const seen = [];
    const apart = 'script, style, template, code, kbd, .brand, .pair-name, [lang]:not(html), nav [href*=lang]';
    for (const element of document.querySelectorAll('body *')) {
        if (element.closest(apart) || !element.checkVisibility()) continue;
        for (const node of element.childNodes) if (node.nodeType === 3) seen.push(node.data);
        for (const name of ['aria-label', 'placeholder', 'alt']) seen.push(element.getAttribute(name) ?? '');
    }
    return [document.title, ...seen].map((text) => text.trim()).filter(Boolean);
}"""


def english_in(page: Page) -> list[str]:
    """The texts of the page with Latin words that are no names."""
    found = []
    for text in page.evaluate(_TEXTS):
        own = _ADDRESS.sub(" ", text)
        words = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-") else " " for letter in own)
        unknown = [word for word in words.split() if sum(map(str.isalpha, word)) > 2 and word not in NAMES]
        if [word for word in unknown if not any(map(str.isdigit, word)) and not word.startswith("shirt")]:
            found.append(text)
    return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A service whose operator signs in."""
    with embedded(tmp_path_factory.mktemp("chinese")) as running_service:
        yield running_service


@pytest.fixture(scope="module")
def jobs(service: Embedded, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A job with failures, one that waits for approval, one whose search failed, and traces of an operator's work."""
    folder = tmp_path_factory.mktemp("shop")
    marked = folder / "marked"
    marked.mkdir()
    for number, (picture, _) in enumerate(marked_pictures(24)):
        Image.fromarray(picture).save(marked / f"shirt-{number:03}.png")
    ended = submit_folder(service, folder_of(folder / "spring", 4, broken=1), mask_in(folder), name="spring")
    with Client(service.url, service.key) as client, api_client(service) as http:
        client.wait(ended.id)
        searched, few = (
            client.submit(files, mask={"mode": "auto"}, rights=RIGHTS)
            for files in (sorted(marked.iterdir()), sorted(marked.iterdir())[:3])
        )
        for job in (searched, few):
            until(lambda job=job: job.refresh().state == "needs_review", f"the search of {job.id} did not end")
        http.post("/v1/webhooks", json={"url": f"{service.url}/hook"})
        http.put("/v1/pause").raise_for_status()
        http.delete("/v1/pause").raise_for_status()
    with closing(sqlite3.connect(service.home / "ledger.sqlite3", timeout=30)) as ledger, ledger:
        reason = "device_lost: CUDA error: an illegal memory access was encountered"
        ledger.execute("UPDATE devices SET reason = ?, state = 'crash_loop'", [reason])
    return [ended.id, searched.id, few.id]


def test_no_page_says_anything_in_english(browser: Browser, service: Embedded, jobs: list[str]) -> None:
    with signed_in(browser, service, locale="zh-CN") as context:
        state_rights(context)
        page = context.new_page()
        wrong: dict[str, list[str]] = {}

        def look(path: str) -> None:
            page.goto(path, wait_until="networkidle")
            wrong[path] = english_in(page)

        for path in ("/", "/jobs", "/jobs?kind=repair", "/jobs/new", "/admin", "/admin?what=image"):
            look(path)
        for way in ("find", "template", "text", "boxes", "file"):
            page.goto("/jobs/new", wait_until="networkidle")
            page.locator(f'[data-way="{way}"]').click()
            wrong[f"/jobs/new {way}"] = english_in(page)
        for job_id in jobs:
            look(f"/jobs/{job_id}")
            page.locator("#more summary").click()
            wrong[f"/jobs/{job_id} more"] = english_in(page)
        look(f"/jobs/{jobs[0]}/review")
        expect(page.locator("#stage.waiting")).to_have_count(0, timeout=LONG_MS)
        page.keyboard.press("x")
        page.locator("#judge-again").click()
        page.locator("#again-by-paint").check()
        expect(page.locator("#paint-picture option")).not_to_have_count(0)
        wrong["painting"] = english_in(page)
        page.locator("#again-close").click()
        page.keyboard.press("?")
        wrong["keys"] = english_in(page)
        look("/jobs/job_none")
        forgive(context)
        look("/login")
        assert {path: texts for path, texts in wrong.items() if texts} == {}
