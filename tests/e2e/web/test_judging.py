"""A person judges a job's results by keys and by swipes, and has the rejected ones done again."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cleanplate.client.http import Client, JobAnswer
from tests.browser import PHONE, assert_accessible, forgive, read_stage, signed_in
from tests.e2e.web.catalogue import api_client, folder_of, mask_in, submit_folder
from tests.e2e.web.many import submit_many
from tests.embedded import Embedded

#: For a busy machine.
LONG_MS = 120_000
MANY = 10_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures and the mask."""
    folder = tmp_path_factory.mktemp("shop")
    folder_of(folder / "pictures", 6)
    mask_in(folder)
    return folder


@pytest.fixture
def job(service: Embedded, shop: Path) -> JobAnswer:
    """A job that has ended, none of its results judged; all holes are as large, so that they come in their order."""
    job = submit_folder(service, shop / "pictures", shop / "mask.png", options={"dilation_px": 4})
    with Client(service.url, service.key) as client:
        client.wait(job.id)
    return job


def judged(service: Embedded, job: JobAnswer, review: str) -> list[str]:
    """The names of the results with this verdict."""
    with api_client(service) as http:
        images = http.get(f"/v1/jobs/{job.id}/images?review={review}").json()["data"]
    return [image["name"] for image in images]


def open_review(page: Page, job: JobAnswer) -> None:
    page.goto(f"/jobs/{job.id}/review")
    expect(page.locator("#stage.waiting")).to_have_count(0)


def shown(page: Page, name: str) -> None:
    """Wait until the pair of this picture is on the stage."""
    expect(page.locator("#judge-name")).to_have_text(name)
    expect(page.locator("#stage.waiting")).to_have_count(0)


def press(page: Page, key: str, then: str) -> None:
    page.keyboard.press(key)
    shown(page, then)


def test_results_are_judged_by_keys_alone_and_undone(page: Page, service: Embedded, job: JobAnswer) -> None:
    page.goto(f"/jobs/{job.id}")
    page.get_by_role("link", name="Judge the results").click()
    shown(page, "shirt-000.png")
    assert_accessible(page)
    press(page, "j", "shirt-001.png")
    press(page, "k", "shirt-000.png")
    press(page, "x", "shirt-001.png")
    press(page, "v", "shirt-002.png")
    expect(page.locator("#judged")).to_have_text("2 of 6 judged")
    press(page, "x", "shirt-003.png")
    press(page, "z", "shirt-002.png")
    page.keyboard.press("n")
    page.get_by_label("What is wrong, or worth knowing").fill("The collar is smeared.")
    page.keyboard.press("Enter")
    expect(page.locator("#judge-note-text")).to_have_text("The collar is smeared.")
    page.reload()
    shown(page, "shirt-002.png")
    expect(page.locator("#judge-note-text")).to_have_text("The collar is smeared.")
    expect(page.locator("#judged")).to_have_text("2 of 6 judged")
    assert (judged(service, job, "rejected"), judged(service, job, "kept")) == (["shirt-000.png"], ["shirt-001.png"])
    page.get_by_label("Which results").select_option("Rejected")
    shown(page, "shirt-000.png")
    expect(page.locator("#judge-verdict")).to_have_text("rejected")


def test_a_pair_opens_on_its_change_and_is_compared_in_three_ways(page: Page, job: JobAnswer) -> None:
    open_review(page, job)
    slid = read_stage(page)
    divider = page.get_by_role("slider")
    expect(divider).to_be_visible()
    page.keyboard.press("d")
    expect(page.get_by_role("button", name="Difference")).to_have_attribute("aria-pressed", "true")
    expect(divider).to_be_hidden()
    assert read_stage(page) != slid
    press(page, "j", "shirt-001.png")
    expect(divider).to_be_hidden()
    page.keyboard.press("b")
    before, after = page.locator("#label-before"), page.locator("#label-after")
    for label, other in ((before, after), (after, before)):
        expect(label).to_be_visible()
        expect(other).to_be_hidden()
    page.keyboard.press("b")
    expect(divider).to_be_visible()


def test_a_range_is_judged_at_once(page: Page, service: Embedded, job: JobAnswer) -> None:
    open_review(page, job)
    press(page, "j", "shirt-001.png")
    for name in ("shirt-002.png", "shirt-003.png"):
        press(page, "Shift+J", name)
    expect(page.locator("#judge-selected")).to_have_text("3 pictures selected")
    press(page, "x", "shirt-004.png")
    expect(page.locator("#judge-selected")).to_be_empty()
    rows = page.locator("#rail").get_by_role("option")
    rows.nth(4).click()
    rows.nth(5).click(modifiers=["Shift"])
    shown(page, "shirt-005.png")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_text("This was the last one")).to_be_visible()
    expect(page.get_by_text("3 results are rejected.")).to_be_visible()
    page.reload()
    shown(page, "shirt-000.png")
    assert judged(service, job, "rejected") == [f"shirt-00{number}.png" for number in (1, 2, 3)]
    assert judged(service, job, "kept") == [f"shirt-00{number}.png" for number in (4, 5)]


def test_what_is_rejected_is_done_again_with_another_mask_to_the_end(
    page: Page, service: Embedded, job: JobAnswer, shop: Path
) -> None:
    open_review(page, job)
    press(page, "x", "shirt-001.png")
    press(page, "x", "shirt-002.png")
    page.get_by_role("button", name="Do 2 rejected again…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Do 2 rejected pictures again")
    dialog.get_by_label("another mask").check()
    expect(dialog.get_by_role("button", name="Do them again")).to_be_disabled()
    dialog.get_by_label("The mask: white where the mark is").set_input_files(shop / "mask.png")
    dialog.get_by_label("What is under the mark").select_option("is painted anew")
    assert_accessible(page)
    dialog.get_by_role("button", name="Do them again").click()
    expect(dialog).to_contain_text("2 pictures are done again.")
    dialog.get_by_role("link", name="Follow them").click()
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
    with api_client(service) as http:
        first = http.get(f"/v1/jobs/{job.id}/images").json()["data"][0]
    assert first["replaced_by"] is not None
    open_review(page, job)
    page.get_by_label("Which results").select_option("Rejected")
    shown(page, "shirt-000.png")
    expect(page.locator("#judge-facts")).to_contain_text("done again")


def test_the_mark_is_painted_over_on_a_rejected_picture_and_those_of_its_size_are_done_again(
    page: Page, service: Embedded, job: JobAnswer
) -> None:
    open_review(page, job)
    for name in ("shirt-001.png", "shirt-002.png", "shirt-003.png"):
        press(page, "x", name)
    page.get_by_role("button", name="Do 3 rejected again…").click()
    dialog = page.get_by_role("dialog")
    begin = dialog.get_by_role("button", name="Do them again")
    dialog.get_by_label("painted here").check()
    dialog.get_by_label("Paint over the mark on").select_option("shirt-001.png")
    expect(dialog.get_by_text("also for the 2 other rejected pictures of this size")).to_be_visible()
    expect(begin).to_be_disabled()
    canvas = page.locator("#paint-canvas")
    box = canvas.bounding_box()
    assert box is not None
    across, down = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(across - 20, down)
    page.mouse.down()
    page.mouse.move(across + 20, down, steps=4)
    page.mouse.up()
    expect(begin).to_be_enabled()
    assert_accessible(page)
    dialog.get_by_text("also for the 2 other rejected pictures of this size").click()
    with page.expect_request(f"**/v1/jobs/{job.id}/redo") as asked:
        begin.click()
    assert len(asked.value.post_data_json["images"]) == 1
    dialog.get_by_role("link", name="Follow them").click()
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
    with api_client(service) as http:
        images = http.get(f"/v1/jobs/{job.id}/images").json()["data"]
    assert [image["name"] for image in images if image["replaced_by"]] == ["shirt-001.png"]
    open_review(page, job)
    page.get_by_label("Which results").select_option("Rejected")
    page.get_by_role("button", name="Do 3 rejected again…").click()
    dialog.get_by_label("painted here").check()
    expect(dialog.get_by_text("also for the other rejected picture of this size")).to_be_visible()


def test_a_verdict_that_the_service_refuses_is_taken_back(page: Page, job: JobAnswer) -> None:
    open_review(page, job)
    problem = {"code": "not_found", "title": "Not found", "detail": "There is no such job.", "status": 404}
    refusal = {"status": 404, "json": problem, "content_type": "application/problem+json"}
    page.route(f"**/v1/jobs/{job.id}/review", lambda route: route.fulfill(**refusal))
    press(page, "v", "shirt-001.png")
    expect(page.get_by_role("alert")).to_contain_text("There is no such job.")
    expect(page.locator("#judged")).to_have_text("0 of 6 judged")
    forgive(page.context)


def test_ten_thousand_results_are_a_short_list_of_rows_that_goes_on(page: Page, service: Embedded, shop: Path) -> None:
    job = submit_many(service, shop / "pictures", shop / "mask.png", MANY)
    open_review(page, job)
    expect(page.locator("#judged")).to_have_text("0 of 10,000 judged")
    for _ in range(60):
        name = page.locator("#judge-name").inner_text()
        page.keyboard.press("v")
        expect(page.locator("#judge-name")).not_to_have_text(name)
        expect(page.locator("#stage.waiting")).to_have_count(0)
    expect(page.locator("#judged")).to_have_text("60 of 10,000 judged")
    assert page.locator("#rail").get_by_role("option").count() < 60
    rail = page.locator("#rail")
    for _ in range(3):
        height = rail.evaluate("rail => rail.scrollHeight")
        rail.evaluate("rail => rail.scrollTo(0, rail.scrollHeight)")
        page.wait_for_function("([rail, height]) => rail.scrollHeight > height", arg=[rail.element_handle(), height])
    assert page.locator("#rail").get_by_role("option").count() < 60
    page.locator("#rail").get_by_role("option").last.click()
    page.reload()
    expect(page.locator("#judged")).to_have_text("60 of 10,000 judged")


def test_on_a_phone_swipes_judge(browser: Browser, service: Embedded, job: JobAnswer) -> None:
    with signed_in(browser, service, viewport=PHONE, has_touch=True) as context:
        page = context.new_page()
        open_review(page, job)
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        for way, name in (((120, 0), "shirt-001.png"), ((-120, 0), "shirt-002.png"), ((0, -120), "shirt-003.png")):
            swipe(page, *way)
            shown(page, name)
        expect(page.locator("#judged")).to_have_text("2 of 6 judged")
        swipe(page, 0, 120)
        shown(page, "shirt-002.png")
        page.reload()
        shown(page, "shirt-002.png")
        assert judged(service, job, "kept") == ["shirt-000.png"]
        assert judged(service, job, "rejected") == ["shirt-001.png"]


def swipe(page: Page, dx: int, dy: int) -> None:
    """Move a finger quickly over the middle of the stage."""
    page.evaluate(
        """([dx, dy]) => {
            const canvas = document.getElementById('canvas');
            canvas.setPointerCapture = () => {}; // made-up pointers cannot be captured
            const box = canvas.getBoundingClientRect();
            const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
            const send = (type, clientX, clientY) => canvas.dispatchEvent(new PointerEvent(type, {
                pointerId: 7, pointerType: 'touch', clientX, clientY, bubbles: true, cancelable: true,
            }));
            send('pointerdown', x, y);
            send('pointerup', x + dx, y + dy);
        }""",
        [dx, dy],
    )


def test_in_chinese_nothing_is_english(browser: Browser, service: Embedded, job: JobAnswer) -> None:
    with signed_in(browser, service, locale="zh-CN") as context:
        page = context.new_page()
        open_review(page, job)
        expect(page.locator("#judge-keep")).to_have_text("保留")
        page.keyboard.press("x")
        shown(page, "shirt-001.png")
        page.locator("#judge-again").click()
        assert_accessible(page)
        page.locator("#again-close").click()
        words = page.evaluate(
            """() => [...document.querySelectorAll('body *')]
                .filter((element) => !element.closest('script, template, kbd, .brand, [lang="en"], .pair-name'))
                .flatMap((element) => [...element.childNodes].filter((node) => node.nodeType === 3))
                .map((node) => node.data.trim())
                .filter((text) => /[A-Za-z]{3}/.test(text.replaceAll('Shift', '')))"""
        )
        assert words == []
