"""The pages of jobs: live progress, failures with advice, pictures before and after."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from cleanplate.client.http import Client, JobAnswer
from tests.browser import PHONE, HeldRequests, assert_accessible, forgive, hold_bitmaps, read_stage, signed_in
from tests.e2e.web.catalogue import api_client, folder_of, lasting_in, mask_in, submit_folder, submit_paused
from tests.embedded import Embedded
from tests.running import until
from tests.webhook_receiver import Reply, receiver_running

#: For a busy machine.
LONG_MS = 120_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures, two of them truncated, and the mask."""
    folder = tmp_path_factory.mktemp("shop")
    folder_of(folder / "pictures", 12, broken=2)
    mask_in(folder)
    return folder


@pytest.fixture(scope="module")
def ended(service: Embedded, shop: Path) -> JobAnswer:
    """A job that has ended, with two images failed."""
    job = submit_folder(service, shop / "pictures", shop / "mask.png")
    with Client(service.url, service.key) as client:
        client.wait(job.id)
    return job


def test_the_list_shows_a_job_that_comes_and_follows_it_to_its_end(page: Page, service: Embedded, shop: Path) -> None:
    page.goto("/jobs")
    job = submit_folder(service, shop / "pictures", shop / "mask.png")
    card = page.locator(f"[data-job={job.id}]")
    expect(card.get_by_role("link", name="12 pictures")).to_be_visible()
    expect(card.locator(".state")).to_have_text("completed", timeout=LONG_MS)
    expect(card.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "12")
    expect(card.locator(".failed")).to_have_text("2 failed")
    card.get_by_role("link").click()
    expect(page).to_have_url(f"{service.url}/jobs/{job.id}")


def test_a_job_that_ends_before_the_list_listens_is_told(page: Page, service: Embedded, shop: Path) -> None:
    job = submit_paused(service, shop / "pictures", shop / "mask.png")
    looking, listening = HeldRequests(page, "**/v1/jobs?limit=*"), HeldRequests(page, "**/v1/events")
    page.goto("/jobs")
    card = page.locator(f"[data-job={job.id}]")
    expect(card.locator(".state")).to_have_text("paused")
    listening.wait()
    with Client(service.url, service.key) as client, api_client(service) as http:
        http.post(f"/v1/jobs/{job.id}/resume").raise_for_status()
        client.wait(job.id)
    # A new stream begins with the jobs that have not ended, which leaves this job out.
    listening.wait()[0].fulfill(content_type="text/event-stream", body="retry: 2000\n\n")
    looking.wait()
    looking.go()
    expect(card.locator(".state")).to_have_text("completed")


def test_failures_are_grouped_with_advice_and_can_be_retried(page: Page, ended: JobAnswer) -> None:
    page.goto(f"/jobs/{ended.id}")
    reason = page.locator(".reason")
    expect(reason).to_contain_text("The file is cut off 2 pictures")
    expect(reason).to_contain_text("Send these files again in a new job: their end is missing.")
    reason.get_by_role("button", name="Show them").click()
    expect(page.locator(".pair")).to_have_count(2)
    page.get_by_role("button", name="Clean 10").click()
    expect(page.locator(".pair")).to_have_count(10)
    # A file that is cut off stays so: another try is not offered.
    expect(page.get_by_role("button", name="Try the failed ones again")).to_be_hidden()


def test_another_try_is_offered_where_the_service_was_at_fault(page: Page, service: Embedded, shop: Path) -> None:
    job = submit_folder(service, shop / "pictures", shop / "mask.png")
    with Client(service.url, service.key) as client:
        client.wait(job.id)
    with closing(sqlite3.connect(service.home / "ledger.sqlite3", timeout=30)) as ledger, ledger:
        lost = "UPDATE images SET error_code = 'worker_lost' WHERE job_id = ? AND state = 'failed'"
        ledger.execute(lost, [job.id])
    page.goto(f"/jobs/{job.id}")
    reason = page.locator(".reason")
    expect(reason).to_contain_text("The worker was lost each time 2 pictures")
    page.get_by_role("button", name="Try the failed ones again").click()
    expect(page.get_by_text("The failed pictures are tried again")).to_be_visible()
    expect(reason).to_contain_text("The file is cut off 2 pictures", timeout=LONG_MS)
    page.get_by_text("Details").click()
    expect(page.locator("#times")).to_contain_text("Waiting in line")


def test_the_end_of_a_job_is_told_by_the_browser_to_who_asked(
    context: BrowserContext, page: Page, service: Embedded, shop: Path
) -> None:
    context.grant_permissions(["notifications"])
    page.add_init_script(
        """window.rung = [];
        const Real = window.Notification;
        window.Notification = class extends Real {
            constructor(title, options) { super(title, options); window.rung.push([title, options.body]); }
        };"""
    )
    job = submit_paused(service, shop / "pictures", shop / "mask.png")
    page.goto(f"/jobs/{job.id}")
    page.get_by_role("button", name="Tell me when it is done").click()
    expect(page.get_by_text("You are told when the job ends")).to_be_visible()
    expect(page.locator("#tell")).to_be_hidden()
    page.evaluate(
        """Object.defineProperty(document, 'hidden', {get: () => true});
        document.dispatchEvent(new Event('visibilitychange'));"""
    )
    with api_client(service) as http:
        http.post(f"/v1/jobs/{job.id}/resume").raise_for_status()
    page.wait_for_function("() => window.rung.length === 1", timeout=LONG_MS)
    assert page.evaluate("window.rung") == [["The job has ended", "12 of 12, 2 failed"]]


def test_jobs_are_found_by_name_have_small_pictures_and_leave_repairs_apart(
    page: Page, service: Embedded, shop: Path
) -> None:
    named = submit_folder(service, shop / "pictures", shop / "mask.png", name="Spring shirts")
    repair = submit_folder(service, shop / "pictures", shop / "mask.png", name="Shirt by hand")
    with Client(service.url, service.key) as client:
        for job in (named, repair):
            client.wait(job.id)
    with closing(sqlite3.connect(service.home / "ledger.sqlite3", timeout=30)) as ledger, ledger:
        ledger.execute("UPDATE jobs SET kind = 'repair' WHERE id = ?", [repair.id])
    page.goto("/jobs")
    card = page.locator(f"[data-job={named.id}]")
    expect(card.get_by_role("link")).to_have_text("Spring shirts")
    expect(card).to_contain_text("12 pictures")
    expect(card.locator(".job-look img:visible")).to_have_count(3)
    expect(page.locator(f"[data-job={repair.id}]")).to_have_count(0)
    assert_accessible(page)
    page.get_by_role("searchbox").fill("shirts SPRING")
    page.keyboard.press("Enter")
    expect(page.locator("[data-job]")).to_have_count(1)
    expect(card.get_by_role("link")).to_have_text("Spring shirts")
    page.get_by_role("link", name="Completed", exact=True).click()
    expect(page.locator("[data-job]")).to_have_count(1)
    page.get_by_role("searchbox").fill("autumn")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No job has such a name")).to_be_visible()
    page.get_by_role("link", name="Single repairs").click()
    expect(page.locator(f"[data-job={repair.id}]").get_by_role("link")).to_have_text("Shirt by hand")
    expect(page.locator(f"[data-job={named.id}]")).to_have_count(0)


def test_a_pair_is_shown_small_and_looked_at_closely_by_keys(page: Page, ended: JobAnswer) -> None:
    page.goto(f"/jobs/{ended.id}")
    first = page.get_by_role("button", name="shirt-000.png, before and after")
    image = first.locator("img")
    expect(image).to_be_visible()
    page.wait_for_function("image => image.complete && image.naturalWidth === 48", arg=image.element_handle())
    assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [48, 2 * 64]
    first.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("48 × 64 pixels")
    expect(dialog.locator("#pair-note")).to_contain_text("Drag the picture")
    assert_accessible(page)
    page.keyboard.press("PageDown")
    expect(dialog.get_by_role("heading")).to_have_text("shirt-001.png")
    slider = dialog.get_by_role("slider")
    slider.focus()
    before = int(slider.input_value())
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_value(str(before + 1))
    page.keyboard.press("k")
    expect(dialog.get_by_role("heading")).to_have_text("shirt-000.png")
    page.keyboard.press("j")
    expect(dialog.get_by_role("heading")).to_have_text("shirt-001.png")
    expect(dialog.locator("#pair-note")).to_contain_text("Drag the picture")
    page.keyboard.press("d")
    expect(dialog.get_by_role("button", name="Difference")).to_have_attribute("aria-pressed", "true")
    expect(dialog.locator("#divider")).to_be_hidden()
    difference = read_stage(page)
    page.keyboard.press("d")
    assert read_stage(page) != difference
    page.keyboard.press("b")
    expect(dialog.get_by_role("button", name="Blink")).to_have_attribute("aria-pressed", "true")
    assert_accessible(page)
    page.keyboard.press("b")
    expect(dialog.locator("#divider")).to_be_visible()
    with page.expect_download() as download:
        dialog.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "shirt-001.png"
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_divider_stays_where_it_was_put_while_larger_pictures_arrive(page: Page, ended: JobAnswer) -> None:
    larger = HeldRequests(page, "**/v1/images/*/source")
    page.goto(f"/jobs/{ended.id}")
    page.get_by_role("button", name="shirt-000.png, before and after").click()
    larger.wait()
    dialog = page.get_by_role("dialog")
    slider = dialog.get_by_role("slider")
    expect(dialog.locator("#divider")).to_be_visible()
    page.keyboard.press("+")
    slider.press("End")
    larger.go()
    expect(dialog.locator("#pair-note")).to_contain_text("Drag the picture")
    expect(slider).to_have_value("100")
    page.keyboard.press("PageDown")  # the divider lies in the middle of what changed in this pair
    expect(dialog.locator("#pair-note")).to_contain_text("Drag the picture")
    expect(slider).not_to_have_value("100")


def test_pictures_that_come_late_are_not_those_of_the_pair_that_is_looked_at(page: Page, ended: JobAnswer) -> None:
    hold_bitmaps(page, 2)  # both pictures of the first pair
    page.goto(f"/jobs/{ended.id}")
    page.get_by_role("button", name="shirt-000.png, before and after").click()
    page.wait_for_function("made === 2")
    dialog = page.get_by_role("dialog")
    page.keyboard.press("PageDown")
    expect(dialog.get_by_role("heading")).to_have_text("shirt-001.png")
    expect(dialog.locator("#pair-note")).to_contain_text("Drag the picture")
    shown = read_stage(page)
    page.evaluate("letGo()")
    assert read_stage(page) == shown
    expect(dialog.locator("#pair-note")).to_contain_text("Drag the picture")


def test_an_answer_that_is_older_than_the_news_changes_nothing(page: Page, service: Embedded, shop: Path) -> None:
    job = submit_paused(service, shop / "pictures", shop / "mask.png")
    resuming = HeldRequests(page, "**/resume")
    page.goto(f"/jobs/{job.id}")
    page.get_by_role("button", name="Go on").click()
    [route] = resuming.wait()
    answer = route.fetch()
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
    route.fulfill(response=answer)
    expect(page.locator("#resume")).to_be_enabled()
    expect(page.locator("#state")).to_have_text("completed")
    expect(page.locator("#pause")).to_be_hidden()


def test_pictures_that_were_asked_for_before_the_end_are_asked_for_again(
    page: Page, service: Embedded, shop: Path
) -> None:
    job = submit_paused(service, shop / "pictures", shop / "mask.png")
    listing = HeldRequests(page, "**/images?*")
    page.goto(f"/jobs/{job.id}")
    [route] = listing.wait()
    early_answer = route.fetch().json()
    assert {image["state"] for image in early_answer["data"]} == {"queued"}
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
    listing.answer(early_answer)
    listing.go()
    expect(page.locator(".pair img:visible")).to_have_count(10)


def test_an_overview_that_comes_late_is_not_shown(page: Page, ended: JobAnswer) -> None:
    overviews = HeldRequests(page, "**/overview")
    page.goto(f"/jobs/{ended.id}")
    first, second = overviews.wait(2)
    second.continue_()
    expect(page.locator(".reason")).to_have_count(1)
    with page.expect_event("requestfinished", lambda request: request == first.request):
        first.fulfill(json={"reasons": [], "stages": {}})
    read_stage(page)
    expect(page.locator(".reason")).to_have_count(1)


def test_nothing_is_asked_of_a_job_that_is_deleted(page: Page, service: Embedded, shop: Path) -> None:
    job = submit_folder(service, shop / "pictures", shop / "mask.png")
    with Client(service.url, service.key) as client:
        client.wait(job.id)
    listing = HeldRequests(page, "**/images?*")
    page.goto(f"/jobs/{job.id}")
    listing.wait()
    leaving = HeldRequests(page, f"{service.url}/jobs")

    def is_abandoned(request: Request) -> bool:
        return "/images?" in request.url

    with page.expect_event("requestfailed", is_abandoned):
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        leaving.wait()
    leaving.go()
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()


def test_a_screen_that_holds_more_than_a_part_shows_all_pictures(
    browser: Browser, service: Embedded, shop: Path, tmp_path: Path
) -> None:
    job = submit_paused(service, folder_of(tmp_path / "many", 70), shop / "mask.png")
    with signed_in(browser, service, viewport={"width": 3840, "height": 2160}) as context:
        page = context.new_page()
        page.goto(f"/jobs/{job.id}")
        expect(page.locator("#gallery .pair")).to_have_count(70)
    with api_client(service) as http:
        http.post(f"/v1/jobs/{job.id}/cancel").raise_for_status()


def test_a_job_can_be_paused_resumed_canceled_downloaded_and_deleted(
    page: Page, service: Embedded, tmp_path: Path
) -> None:
    job = submit_paused(service, *lasting_in(tmp_path, 20))
    page.goto(f"/jobs/{job.id}")
    expect(page.locator("#state")).to_have_text("paused")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("paused")
    page.get_by_role("button", name="Cancel the job").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    expect(page.locator("#state")).to_have_text("canceled")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page).to_have_url(f"{service.url}/jobs")
    expect(page.locator(f"[data-job={job.id}]")).to_have_count(0)


def test_webhook_deliveries_are_listed_and_can_be_posted_again(page: Page, service: Embedded, shop: Path) -> None:
    with receiver_running() as receiver, Client(service.url, service.key) as client:
        receiver.replies = [Reply(status=500)]
        webhook = client.webhooks.create(f"{receiver.url}/<i>news</i>", events=["job.completed"])
        job = submit_folder(service, shop / "pictures", shop / "mask.png", webhook_id=webhook.id)
        page.goto(f"/jobs/{job.id}")
        expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
        row = page.locator("#delivery-rows tr")
        expect(row).to_contain_text("job.completed")
        until(lambda: receiver.received, "no webhook arrived")
        expect(row).to_contain_text("answered 500", timeout=LONG_MS)
        assert_accessible(page)
        receiver.replies = [Reply(status=204)]
        page.get_by_role("button", name="Post again").click()
        expect(page.get_by_text("It is posted again")).to_be_visible()
        expect(row.locator(".state")).to_have_text("delivered", timeout=LONG_MS)
        assert len(receiver.received) >= 2


def test_the_results_are_downloaded_as_one_file(page: Page, ended: JobAnswer) -> None:
    page.goto(f"/jobs/{ended.id}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all").click()
    assert download.value.suggested_filename == f"{ended.id}.zip"
    assert download.value.path().read_bytes()[:2] == b"PK"


def test_a_job_that_is_not_there_is_a_page_of_its_own(page: Page, context: BrowserContext) -> None:
    page.goto("/jobs/job_0")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    assert_accessible(page)
    forgive(context)  # the console logs the 404


@pytest.mark.parametrize(
    "options",
    [
        {"locale": "en-GB", "color_scheme": "light"},
        {"locale": "zh-CN", "color_scheme": "dark"},
        {"locale": "zh-CN", "viewport": PHONE, "has_touch": True, "reduced_motion": "reduce"},
    ],
    ids=["light-en", "dark-zh", "phone-zh"],
)
def test_list_and_job_are_accessible_and_fit(
    browser: Browser, service: Embedded, ended: JobAnswer, options: dict
) -> None:  # type: ignore[type-arg]
    with signed_in(browser, service, **options) as context:
        page = context.new_page()
        for address, there in (
            ("/jobs", f"[data-job={ended.id}]"),
            ("/jobs?state=canceled", "#none"),
            (f"/jobs/{ended.id}", ".pair"),
        ):
            page.goto(address)
            page.locator(there).first.wait_for(state="attached")
            assert_accessible(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
