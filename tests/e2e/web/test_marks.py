"""The mark of a catalogue in the browser: found in its pictures, reviewed, approved or refused; or a template."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cleanplate.client.http import Client
from tests import patient
from tests.browser import PHONE, HeldRequests, assert_accessible, signed_in, state_rights
from tests.e2e.web.catalogue import RIGHTS, folder_of, mask_in
from tests.embedded import Embedded
from tests.marked import marked_pictures

#: For a busy machine.
LONG_MS = 180_000
#: Pictures with each of two marks: more than an estimate needs.
EACH = 24


@pytest.fixture(scope="module")
def two_marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures with one mark, and as many with another in the opposite corner."""
    folder = tmp_path_factory.mktemp("two")
    for name, seed, step in (("acme", 3, 1), ("other", 4, -1)):
        for number, (marked, _) in enumerate(marked_pictures(EACH, seed)):
            Image.fromarray(marked[::step, ::step]).save(folder / f"{name}-{number:02}.png")
    return folder


def submit_form(page: Page) -> None:
    page.get_by_role("button", name="Clean the pictures").click()
    page.wait_for_url(re.compile(r"/jobs/job_"), timeout=LONG_MS)


def submit_search(service: Embedded, folder: Path) -> str:
    """Submit the pictures of a folder as a job that searches for its mark; the job's id."""
    with Client(service.url, service.key) as client:
        return client.submit(sorted(folder.iterdir()), mask={"mode": "auto"}, rights=RIGHTS).id


@pytest.fixture(scope="module")
def held(service: Embedded, two_marks: Path) -> str:
    """A job that nobody approves."""
    return submit_search(service, two_marks)


def test_marks_are_found_looked_at_refused_and_approved_and_then_are_templates(
    page: Page, service: Embedded, two_marks: Path
) -> None:
    page.goto("/jobs/new")
    page.set_input_files("#folder-input", two_marks)
    page.get_by_text("Find the mark").click()
    submit_form(page)
    expect(page.locator("#review-title")).to_have_text("2 marks were found", timeout=LONG_MS)
    expect(page.locator("#state")).to_have_text("to be approved")
    expect(page.locator(".mark")).to_have_count(2)
    acme = page.locator(".mark", has_text="at the lower right corner")
    expect(acme).to_contain_text("found in 24 pictures")
    assert acme.locator(".sample").count() >= 3
    for image in page.locator(".mark img").all():
        image.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image.element_handle())
    assert_accessible(page)
    acme.get_by_role("button", name="Sample 1, with the mark and without it").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("#pair-note")).to_contain_text("un-blending")
    assert_accessible(page)
    page.keyboard.press("PageDown")
    expect(dialog.get_by_role("heading")).to_have_text("Sample 2")
    page.keyboard.press("Escape")
    page.locator(".mark", has_text="at the upper left corner").get_by_role("button", name="This is no mark").click()
    expect(page.locator("#review-title")).to_have_text("A mark was found")
    page.get_by_role("button", name="Approve and begin").click()
    expect(page.locator("#review")).to_be_hidden()
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
    expect(page.locator("#left-alone")).to_contain_text("24 pictures were left as they are, bit for bit")
    expect(page.get_by_role("button", name=f"Clean {EACH}")).to_be_visible()
    page.get_by_role("button", name="Skipped 24").click()
    expect(page.locator(".pair-label").first).to_have_text("Left as it is: the mark is not in it")
    assert_accessible(page)

    page.goto("/jobs/new")
    page.set_input_files("#files-input", sorted(two_marks.iterdir())[:3])
    page.get_by_text("A known mark", exact=True).click()
    expect(page.locator("#missing")).to_have_text("Still missing: the mark.")
    choice = page.locator(".template-choice", has_text="at the lower right corner").first
    expect(choice).to_contain_text("Mark found on")
    choice.click()
    page.get_by_text("Hand out pictures in which the mark can still be seen").click()
    assert_accessible(page)
    submit_form(page)
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
    expect(page.locator("#done")).to_have_text("3 of 3")


def test_too_few_pictures_say_how_many_more_and_another_template_will_do(
    page: Page, service: Embedded, two_marks: Path, tmp_path: Path
) -> None:
    with Client(service.url, service.key) as client:
        known = client.templates.from_mask("the bar", mask_in(tmp_path), anchor="bottom_right")
        client.templates.wait(known.id)
        few = client.submit(sorted(two_marks.iterdir())[:3], mask={"mode": "auto"}, rights=RIGHTS)
    page.goto(f"/jobs/{few.id}")
    title = page.locator("#review-title")
    expect(title).to_have_text("There are too few pictures to find the mark in", timeout=LONG_MS)
    expect(page.locator("#review-needed")).to_have_text("At least 5 more pictures are needed.")
    assert_accessible(page)
    estimates = HeldRequests(page, "**/v1/templates?job_id=*")
    with page.expect_response("**/v1/templates") as begun:
        page.get_by_role("button", name="Try with these pictures all the same").click()
    assert begun.value.status == 202
    expect(title).to_have_text("Looking for the mark")
    estimates.go()
    expect(title).to_have_text("There are too few pictures to find the mark in", timeout=LONG_MS)
    expect(page.get_by_role("button", name="Try with these pictures all the same")).to_be_visible()
    page.get_by_role("button", name="Choose a known mark instead").click()
    page.locator(".template-choice", has_text="the bar").click()
    assert_accessible(page)
    page.get_by_role("button", name="Begin with what is chosen").click()
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)


def test_a_job_whose_mark_is_not_known_is_listed_apart_and_can_be_canceled(
    page: Page, service: Embedded, two_marks: Path, tmp_path: Path
) -> None:
    job = submit_search(service, folder_of(tmp_path / "few", 3))
    page.goto("/jobs")
    card = page.locator(f"[data-job={job}]")
    expect(card.locator(".state")).to_have_text("to be approved", timeout=LONG_MS)
    page.get_by_role("link", name="To be approved").click()
    expect(card).to_be_visible()
    card.get_by_role("link").click()
    page.get_by_role("button", name="Cancel the job").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    expect(page.locator("#state")).to_have_text("canceled")
    expect(page.locator("#review")).to_be_hidden()


def test_a_search_that_waits_says_so(page: Page, service: Embedded, tmp_path: Path) -> None:
    with_key = {"headers": {"Authorization": f"Bearer {service.key}"}}
    assert patient.put(f"{service.url}/v1/pause", **with_key).status_code == 200  # type: ignore[arg-type]
    job = submit_search(service, folder_of(tmp_path / "few", 3))
    page.goto(f"/jobs/{job}")
    expect(page.locator("#review-title")).to_have_text("Looking for the mark")
    expect(page.locator("#review-stage")).to_have_text("Waiting for a worker")
    assert_accessible(page)
    assert patient.delete(f"{service.url}/v1/pause", **with_key).status_code == 200  # type: ignore[arg-type]
    expect(page.locator("#review-needed")).to_contain_text("5 more", timeout=LONG_MS)


@pytest.mark.parametrize(
    "options",
    [
        {"locale": "zh-CN", "color_scheme": "dark"},
        {"locale": "zh-CN", "viewport": PHONE, "has_touch": True, "reduced_motion": "reduce"},
    ],
    ids=["dark-zh", "phone-zh"],
)
def test_a_mark_to_look_at_is_accessible_and_fits(
    browser: Browser, service: Embedded, held: str, options: dict
) -> None:  # type: ignore[type-arg]
    with signed_in(browser, service, **options) as context:
        state_rights(context)
        page = context.new_page()
        page.goto(f"/jobs/{held}")
        expect(page.locator("#review-title")).to_have_text("找到 2 个水印", timeout=LONG_MS)
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
        page.goto("/jobs/new")
        for way in ("自动查找水印", "已知水印"):
            page.locator("#ways-of-marking").get_by_text(way, exact=True).click()
            assert_accessible(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
