"""A picture of each page as a service with something to show has it.

    python -m tests.screenshots docs/screenshots

Runs a service of its own in a temporary folder. ``SHOTS`` lists the pictures: a name, and what to do on a fresh page.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable
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
    """A picture to take."""

    name: str
    options: dict[str, Any]
    prepare: Callable[[Page], None]


def seen(page: Page, images: str) -> None:
    """All these images are fetched and decoded: what is complete need not be drawn yet."""
    for image in page.locator(images).filter(visible=True).all():
        image.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image.element_handle())
        image.evaluate("image => image.decode()")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def start(page: Page) -> None:
    page.goto("/")


def signed_out(page: Page) -> None:
    start(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()


def painted(page: Page) -> None:
    bench = Bench(page)
    bench.open(MARKED)
    page.locator("#size").fill("63")
    bench.drag((0.19, 0.71), (0.46, 0.5), (0.735, 0.3))


def repaired(page: Page) -> None:
    painted(page)
    page.locator("#erase").click()
    expect(page.locator("#download")).to_be_visible(timeout=90_000)
    expect(page.locator("#divider-range")).to_have_value("50")


def jobs(page: Page) -> None:
    page.goto("/jobs")
    expect(page.locator(".job-card")).not_to_have_count(0)


def job(page: Page) -> None:
    jobs(page)
    page.locator(".job-card-name").last.click()
    expect(page.locator("#state")).to_have_text(re.compile("completed|已完成"), timeout=120_000)
    expect(page.locator(".reason")).to_be_visible()
    expect(page.locator(".pair img:visible")).to_have_count(6)
    seen(page, ".pair img")
    page.evaluate("scrollTo(0, 0)")


def zoomed(page: Page) -> None:
    job(page)
    page.locator(".pair-open").first.click()
    expect(page.locator("#zoom-keys")).to_contain_text(re.compile("Drag|拖动"))


def held(page: Page) -> None:
    page.goto("/jobs?state=needs_review")
    page.locator(".job-card-name").first.click()
    expect(page.locator(".sample").last).to_be_attached()
    seen(page, ".mark img")
    page.locator("#title").scroll_into_view_if_needed()


def refused(page: Page) -> None:
    page.goto("/jobs?state=needs_review")
    page.locator(".job-card-name").last.click()
    expect(page.locator("#review-needed")).to_be_visible()
    page.locator("#review-other").click()
    expect(page.locator(".template-choice").first).to_be_visible()
    seen(page, ".template-choice img")


def found_by_itself(page: Page) -> None:
    page.goto("/jobs/new")
    page.locator('#ways-of-marking [value="find"]').check(force=True)


def templates(page: Page) -> None:
    page.goto("/jobs/new")
    page.locator('#ways-of-marking [value="template"]').check(force=True)
    page.locator(".template-choice").first.click()
    seen(page, ".template-choice img")
    page.locator("#mark-title").scroll_into_view_if_needed()


def new_job(page: Page) -> None:
    page.goto("/jobs/new")
    page.set_input_files("#folder-input", MARKED.parent)
    expect(page.locator("#marking-none")).to_be_hidden()
    expect(page.locator("#shipment-text")).to_contain_text(re.compile("6 of 6|6 / 6"))
    page.locator("#canvas").scroll_into_view_if_needed()


def said(page: Page) -> None:
    page.goto("/jobs/new")
    page.set_input_files("#folder-input", MARKED.parent)
    expect(page.locator("#shipment-text")).to_contain_text(re.compile("6 of 6|6 / 6"))
    page.locator('#ways-of-marking [data-way="text"]').click()
    page.locator("#texts-said").fill("SAMPLE SHOP")
    page.locator("#area").select_option("center")
    page.locator("#mark-title").scroll_into_view_if_needed()


def operations(page: Page) -> None:
    page.goto("/admin")
    expect(page.locator("#live")).to_contain_text("cpu", timeout=60_000)
    page.locator(".template-row button").first.click()
    seen(page, ".template-row img")
    page.evaluate("scrollTo(0, 0)")


SHOTS = [
    Shot("repair-start", DESKTOP, start),
    Shot("repair-painted", DESKTOP, painted),
    Shot("repair-compare", DESKTOP, repaired),
    Shot("repair-compare-dark-zh", {**DARK, **IN_CHINESE}, repaired),
    Shot("repair-phone", {"viewport": PHONE, "has_touch": True}, repaired),
    Shot("jobs", DESKTOP, jobs),
    Shot("job", {"viewport": {"width": 1280, "height": 1100}}, job),
    Shot("job-dark-zh", {**DARK, **IN_CHINESE}, job),
    Shot("job-phone", {"viewport": PHONE, "has_touch": True}, job),
    Shot("job-pair", DESKTOP, zoomed),
    Shot("new-job", {"viewport": {"width": 1280, "height": 1100}}, new_job),
    Shot("new-job-phone-zh", {"viewport": PHONE, "has_touch": True, **IN_CHINESE}, new_job),
    Shot("new-job-find", DESKTOP, found_by_itself),
    Shot("new-job-text", DESKTOP, said),
    Shot("new-job-text-phone-zh", {"viewport": PHONE, "has_touch": True, **IN_CHINESE}, said),
    Shot("new-job-template-dark-zh", {**DARK, **IN_CHINESE}, templates),
    Shot("needs-review", {"viewport": {"width": 1280, "height": 1500}}, held),
    Shot("needs-review-dark-zh", {**DARK, **IN_CHINESE}, held),
    Shot("needs-review-phone-zh", {"viewport": PHONE, "has_touch": True, **IN_CHINESE}, held),
    Shot("too-few-pictures", DESKTOP, refused),
    Shot("operations", {"viewport": {"width": 1280, "height": 1500}}, operations),
    Shot("operations-phone", {"viewport": PHONE, "has_touch": True}, operations),
    Shot("operations-dark-zh", {**DARK, **IN_CHINESE, "viewport": {"width": 1280, "height": 1500}}, operations),
    Shot("login", DESKTOP, signed_out),
]


def hand_over(service: Embedded, folder: Path) -> None:
    """Jobs to show: the samples with their masks, and one that is cut off."""
    pictures = folder / "pictures"
    folder.mkdir()
    shutil.copytree(MARKED.parent, pictures)
    (pictures / "garment-torn.png").write_bytes(MARKED.read_bytes()[:20_000])
    masks = sorted((MARKED.parents[1] / "masks").iterdir())
    for _ in range(2):
        submit_folder(service, pictures, [*masks, masks[0]])
    spring = share_a_mark(folder / "spring")
    with Client(service.url, service.key) as client:
        client.templates.wait(client.templates.from_mask("Autumn 2025", masks[0], anchor="center").id)
        few = client.submit(spring[:3], mask={"mode": "auto"}, rights=RIGHTS)
        whole = client.submit(spring, mask={"mode": "auto"}, rights=RIGHTS)
        for job in (few, whole):
            until(lambda job=job: job.refresh().state == "needs_review", f"{job.id} is still searched", within_s=600)
        (found,) = client.templates.list(job_id=whole.id)
        assert found.state == "needs_review", found.error


def share_a_mark(folder: Path) -> list[Path]:
    """A catalogue of garments, each seen whole and in parts, with one translucent mark."""
    folder.mkdir()
    made = []
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
            made.append(folder / f"spring-{number}-{view}.png")
            picture.save(made[-1])
    return made


def take(service: Embedded, folder: Path) -> None:
    """All pictures, into a folder."""
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
        hand_over(service, Path(folder) / "shop")
        take(service, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
