"""Takes a screenshot of each page of a service with sample jobs.

    python -m tests.screenshots docs/screenshots

The script runs a service in a temporary folder. ``SHOTS`` lists the screenshots, each with the steps on a new page.
"""

from __future__ import annotations

import math
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageOps
from playwright.sync_api import Page, expect

from cleanplate.client.http import Client
from tests.browser import PHONE, launch_browser, screenshot, signed_in, state_rights
from tests.e2e.web.bench import Bench
from tests.e2e.web.catalogue import RIGHTS, submit_folder
from tests.embedded import Embedded, embedded
from tests.running import REPOSITORY, until

MARKED = REPOSITORY / "samples" / "marked" / "garment-0c06778b.png"
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
DARK = {**DESKTOP, "color_scheme": "dark"}
IN_CHINESE = {"locale": "zh-CN"}


class Shot(NamedTuple):
    """One screenshot: its file name, the options of the browser, and the steps on a new page."""

    name: str
    options: dict[str, Any]
    prepare: Callable[[Page], None]


def wait_for_images(page: Page, images: str) -> None:
    """Wait until all these images are fetched, decoded and drawn: a complete image may not be drawn yet."""
    for image in page.locator(images).filter(visible=True).all():
        image.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image.element_handle())
        image.evaluate("image => image.decode()")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def open_start(page: Page) -> None:
    page.goto("/")


def sign_out(page: Page) -> None:
    open_start(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()


def paint(page: Page) -> None:
    bench = Bench(page)
    bench.open(MARKED)
    page.locator("#size").fill("63")
    bench.drag((0.19, 0.71), (0.46, 0.5), (0.735, 0.3))


def repair(page: Page) -> None:
    paint(page)
    page.locator("#erase").click()
    expect(page.locator("#download")).to_be_visible(timeout=90_000)
    expect(page.locator("#divider-range")).to_have_value("50")


def open_jobs(page: Page) -> None:
    page.goto("/jobs")
    completed = page.locator(".job-card:has(.state-completed)")
    expect(completed).to_have_count(2, timeout=120_000)
    expect(completed.locator(".job-look")).to_have_count(6)
    wait_for_images(page, ".job-look img")
    page.evaluate("scrollTo(0, 0)")


def open_job(page: Page) -> None:
    open_jobs(page)
    page.locator(".job-card-name").last.click()
    expect(page.locator("#state")).to_have_text(re.compile("completed|已完成"), timeout=120_000)
    expect(page.locator(".reason")).to_be_visible()
    expect(page.locator(".pair img:visible")).to_have_count(6)
    wait_for_images(page, ".pair img")
    page.evaluate("scrollTo(0, 0)")


def open_pair(page: Page) -> None:
    open_job(page)
    page.locator(".pair-open").first.click()
    expect(page.locator("#pair-note")).to_contain_text(re.compile("Drag|拖动"))


def open_results(page: Page) -> None:
    open_job(page)
    page.locator("#judge").click()
    expect(page.locator("#judge-name")).not_to_be_empty()
    expect(page.locator("#stage.waiting")).to_have_count(0)
    expect(page.locator("#pair-note")).to_be_empty()
    wait_for_images(page, "#rail img")


def paint_again(page: Page) -> None:
    open_results(page)
    page.keyboard.press("x")
    page.locator("#judge-again").click()
    page.locator("#again-by-paint").check()
    expect(page.locator("#paint-note")).to_be_empty()
    box = page.locator("#paint-canvas").bounding_box()
    assert box is not None
    across, down = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(across - 60, down + 40)
    page.mouse.down()
    page.mouse.move(across + 60, down - 40, steps=4)
    page.mouse.up()
    page.mouse.move(1, 1)
    expect(page.locator("#again-begin")).to_be_enabled()


def open_held_job(page: Page) -> None:
    page.goto("/jobs?state=needs_review")
    page.locator(".job-card-name").first.click()
    expect(page.locator(".sample").last).to_be_attached()
    wait_for_images(page, ".mark img")
    page.locator("#title").scroll_into_view_if_needed()


def open_refused_job(page: Page) -> None:
    page.goto("/jobs?state=needs_review")
    page.locator(".job-card-name").last.click()
    expect(page.locator("#review-needed")).to_be_visible()
    page.locator("#review-other").click()
    expect(page.locator(".template-choice").first).to_be_visible()
    wait_for_images(page, ".template-choice img")


def choose_search(page: Page) -> None:
    page.goto("/jobs/new")
    page.locator('#ways-of-marking [value="find"]').check(force=True)


def choose_template(page: Page) -> None:
    page.goto("/jobs/new")
    page.locator('#ways-of-marking [value="template"]').check(force=True)
    page.locator(".template-choice").first.click()
    wait_for_images(page, ".template-choice img")
    page.locator("#mark-title").scroll_into_view_if_needed()


def open_new_job(page: Page) -> None:
    page.goto("/jobs/new")
    page.set_input_files("#folder-input", MARKED.parent)
    expect(page.locator("#marking-none")).to_be_hidden()
    expect(page.locator("#shipment-text")).to_contain_text(re.compile("6 of 6|6 / 6"))
    page.locator("#canvas").scroll_into_view_if_needed()


def enter_text(page: Page) -> None:
    page.goto("/jobs/new")
    page.set_input_files("#folder-input", MARKED.parent)
    expect(page.locator("#shipment-text")).to_contain_text(re.compile("6 of 6|6 / 6"))
    page.locator('#ways-of-marking [data-way="text"]').click()
    page.locator("#texts-said").fill("SAMPLE SHOP")
    page.locator("#area").select_option("center")
    page.locator("#mark-title").scroll_into_view_if_needed()


def open_operations(page: Page) -> None:
    page.goto("/admin")
    expect(page.locator("#live")).to_contain_text("cpu", timeout=60_000)
    expect(page.locator(".chart-line")).to_have_count(2)
    page.locator(".template-row button").first.click()
    wait_for_images(page, ".template-row img")
    page.evaluate("scrollTo(0, 0)")


SHOTS = [
    Shot("repair-start", DESKTOP, open_start),
    Shot("repair-painted", DESKTOP, paint),
    Shot("repair-compare", DESKTOP, repair),
    Shot("repair-compare-dark-zh", {**DARK, **IN_CHINESE}, repair),
    Shot("repair-phone", {"viewport": PHONE, "has_touch": True}, repair),
    Shot("jobs", DESKTOP, open_jobs),
    Shot("job", {"viewport": {"width": 1280, "height": 1100}}, open_job),
    Shot("job-dark-zh", {**DARK, **IN_CHINESE}, open_job),
    Shot("job-phone", {"viewport": PHONE, "has_touch": True}, open_job),
    Shot("job-pair", DESKTOP, open_pair),
    Shot("judging", DESKTOP, open_results),
    Shot("judging-dark-zh", {**DARK, **IN_CHINESE}, open_results),
    Shot("judging-phone", {"viewport": PHONE, "has_touch": True}, open_results),
    Shot("judging-painted", DESKTOP, paint_again),
    Shot("new-job", {"viewport": {"width": 1280, "height": 1100}}, open_new_job),
    Shot("new-job-phone-zh", {"viewport": PHONE, "has_touch": True, **IN_CHINESE}, open_new_job),
    Shot("new-job-find", DESKTOP, choose_search),
    Shot("new-job-text", DESKTOP, enter_text),
    Shot("new-job-text-phone-zh", {"viewport": PHONE, "has_touch": True, **IN_CHINESE}, enter_text),
    Shot("new-job-template-dark-zh", {**DARK, **IN_CHINESE}, choose_template),
    Shot("needs-review", {"viewport": {"width": 1280, "height": 1500}}, open_held_job),
    Shot("needs-review-dark-zh", {**DARK, **IN_CHINESE}, open_held_job),
    Shot("needs-review-phone-zh", {"viewport": PHONE, "has_touch": True, **IN_CHINESE}, open_held_job),
    Shot("too-few-pictures", DESKTOP, open_refused_job),
    Shot("operations", {"viewport": {"width": 1280, "height": 1500}}, open_operations),
    Shot("operations-phone", {"viewport": PHONE, "has_touch": True}, open_operations),
    Shot("operations-dark-zh", {**DARK, **IN_CHINESE, "viewport": {"width": 1280, "height": 1500}}, open_operations),
    Shot("login", DESKTOP, sign_out),
]


def submit_jobs(service: Embedded, folder: Path) -> None:
    """Submit the sample jobs: the samples with their masks and one truncated file, and jobs with a shared mark."""
    pictures = folder / "pictures"
    folder.mkdir()
    shutil.copytree(MARKED.parent, pictures)
    (pictures / "garment-torn.png").write_bytes(MARKED.read_bytes()[:20_000])
    masks = sorted((MARKED.parents[1] / "masks").iterdir())
    for _ in range(2):
        submit_folder(service, pictures, [*masks, masks[0]])
    spring = write_marked_catalogue(folder / "spring")
    with Client(service.url, service.key) as client:
        client.templates.wait(client.templates.from_mask("Autumn 2025", masks[0], anchor="center").id)
        few = client.submit(spring[:3], mask={"mode": "auto"}, rights=RIGHTS)
        whole = client.submit(spring, mask={"mode": "auto"}, rights=RIGHTS)
        for job in (few, whole):
            until(
                lambda job=job: job.refresh().state == "needs_review",
                f"the search of {job.id} did not end",
                within_s=600,
            )
        (template,) = client.templates.list(job_id=whole.id)
        assert template.state == "needs_review", template.error


def write_marked_catalogue(folder: Path) -> list[Path]:
    """Write a catalogue of garments, six views of each, with one translucent mark; the files."""
    folder.mkdir()
    files = []
    for number, name in enumerate(sorted((MARKED.parents[1] / "originals").iterdir())):
        with Image.open(name) as opened:
            whole = opened.convert("RGB")
        for view in range(6):
            left, top = whole.width * (view % 3) // 12, whole.height * (view // 3) // 6
            part = whole.crop((left, top, left + whole.width * 5 // 6, top + whole.height * 5 // 6))
            picture = (ImageOps.mirror(part) if view % 2 else part).resize((480, 600))
            mark = Image.new("L", picture.size)
            draw = ImageDraw.Draw(mark)
            draw.text((picture.width // 2, picture.height // 2), "ACME studio", fill=150, anchor="mm", font_size=64)
            picture.paste((24, 36, 72), mask=mark)
            files.append(folder / f"spring-{number}-{view}.png")
            picture.save(files[-1])
    return files


def chart_an_hour(service: Embedded) -> None:
    """Write the figures of an hour in which a catalogue was cleaned, for the charts of operations."""
    now = datetime.now(UTC)
    rows = []
    for ago in range(60, 1, -1):
        minute, done = now - timedelta(minutes=ago), 61 - ago
        pace = 0 if done < 12 else round(420 + 60 * math.sin(done / 3))
        rows.append(
            (f"{minute:%Y-%m-%d %H:%M}:00.000000", pace, 0 if done < 12 else max(0, 18_000 - 380 * (done - 12)))
        )
    with closing(sqlite3.connect(service.home / "ledger.sqlite3", timeout=30)) as ledger, ledger:
        ledger.executemany("INSERT OR REPLACE INTO flow (minute, ended, waiting) VALUES (?, ?, ?)", rows)


def take_screenshots(service: Embedded, folder: Path) -> None:
    """Take all screenshots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with launch_browser() as browser:
        for shot in SHOTS:
            with signed_in(browser, service, reduced_motion="reduce", **shot.options) as context:
                state_rights(context)
                page = context.new_page()
                shot.prepare(page)
                page.evaluate("document.activeElement.blur()")
                screenshot(page, folder / f"{shot.name}.png")
                sys.stdout.write(f"{shot.name}.png\n")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cleanplate-screenshots-") as folder, embedded(Path(folder)) as service:
        submit_jobs(service, Path(folder) / "shop")
        chart_an_hour(service)
        take_screenshots(service, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
