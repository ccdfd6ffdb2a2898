"""A catalogue submitted in the browser: a folder, a ZIP or a list; its mark; and its job, followed to the end."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests import patient
from tests.browser import (
    PHONE,
    HeldRequests,
    assert_accessible,
    forgive,
    hold_bitmaps,
    read_stage,
    signed_in,
    state_rights,
)
from tests.e2e.web.catalogue import HEIGHT, WIDTH, api_client, folder_of, mask_in
from tests.embedded import Embedded

#: For a busy machine.
LONG_MS = 180_000


def job_of(service: Embedded, page: Page) -> dict[str, object]:
    """The API's answer for the job whose page is open."""
    job_id = page.url.rpartition("/")[2]
    job: dict[str, object] = patient.get(
        f"{service.url}/v1/jobs/{job_id}", headers={"Authorization": f"Bearer {service.key}"}
    ).json()
    return job


def draw(page: Page) -> None:
    """Draw a stroke or a box across the middle of the sample, once it is shown."""
    expect(page.locator("#marking-none")).to_be_hidden()
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    across, down = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(across - 30, down - 10)
    page.mouse.down()
    page.mouse.move(across + 30, down + 10, steps=4)
    page.mouse.up()


def send_eight(page: Page, folder: Path) -> list[str]:
    """Send the first eight pictures of a folder; a list that collects the addresses of all uploads."""
    puts: list[str] = []
    page.on("request", lambda request: puts.append(request.url) if request.method == "PUT" else None)
    page.goto("/jobs/new")
    page.set_input_files("#files-input", sorted(folder.iterdir())[:8])
    expect(page.locator("#shipment-text")).to_contain_text("8 of 8 pictures sent")
    return puts


def submit_form(page: Page) -> None:
    page.get_by_role("button", name="Clean the pictures").click()
    page.wait_for_url(re.compile(r"/jobs/job_"), timeout=LONG_MS)


def test_a_folder_of_200_is_sent_painted_and_followed_to_its_end(page: Page, service: Embedded, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "spring", 200)
    (folder / "notes.txt").write_text("not a picture")
    page.goto("/jobs/new")
    page.set_input_files("#folder-input", folder)
    expect(page.get_by_text("1 file is no picture and was left out.")).to_be_visible()
    expect(page.locator("#marking-none")).to_be_hidden()
    draw(page)
    with api_client(service) as http:
        http.put("/v1/pause").raise_for_status()
        submit_form(page)
        page.evaluate(
            """() => {
            window.seen = new Set();
            const bar = document.querySelector('#bar [role=progressbar]');
            const look = () => window.seen.add(Number(bar.getAttribute('aria-valuenow')));
            new MutationObserver(look).observe(bar, {attributes: true});
            look();
        }"""
        )
        http.delete("/v1/pause").raise_for_status()
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
    expect(page.locator("#done")).to_have_text("200 of 200")
    seen = page.evaluate("[...window.seen]")
    assert len(seen) > 2, f"the bar did not move on the way: {seen}"
    assert seen == sorted(seen)
    expect(page.locator(".pair img:visible").first).to_be_visible()
    job = job_of(service, page)
    assert job["counts"] == {"queued": 0, "running": 0, "succeeded": 200, "skipped": 0, "failed": 0, "canceled": 0}
    assert job["rights"] == {"basis": "owner", "attested_by": "Jo Doe", "reference": "own photographs"}


def test_after_a_reload_only_what_is_missing_is_sent(page: Page, service: Embedded, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "autumn", 12)
    puts = send_eight(page, folder)
    page.reload()
    expect(page.locator("#known")).to_contain_text("8 pictures were sent before the page was left.")
    page.set_input_files("#files-input", sorted(folder.iterdir()))
    expect(page.locator("#shipment-text")).to_contain_text("12 of 12 pictures sent")
    assert len(puts) == 12
    draw(page)
    submit_form(page)
    assert job_of(service, page)["total"] == 12
    page.goto("/jobs/new")
    expect(page.locator("#known")).to_be_hidden()


def test_files_that_are_chosen_before_the_page_remembers_are_not_sent_twice(page: Page, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "autumn", 12)
    puts = send_eight(page, folder)
    page.add_init_script(
        """const open = IDBFactory.prototype.open;
        const held = new Promise((resolve) => (window.letGo = resolve));
        IDBFactory.prototype.open = function (...given) {
            const real = open.apply(this, given);
            const late = {get result() { return real.result; }, get error() { return real.error; }};
            real.onupgradeneeded = (event) => late.onupgradeneeded?.(event);
            real.onsuccess = async () => { await held; late.onsuccess(); };
            return late;
        };"""
    )
    page.reload()
    page.set_input_files("#files-input", sorted(folder.iterdir()))
    page.evaluate("letGo()")
    expect(page.locator("#shipment-text")).to_contain_text("12 of 12 pictures sent")
    expect(page.locator("#known")).to_be_hidden()
    assert len(puts) == 12


def test_a_sample_that_comes_late_does_not_take_the_place_of_the_one_chosen_since(page: Page, tmp_path: Path) -> None:
    hold_bitmaps(page, 1)
    page.goto("/jobs/new")
    page.set_input_files("#folder-input", folder_of(tmp_path / "few", 2))
    expect(page.locator("#shipment-text")).to_contain_text("2 of 2 pictures sent")
    page.wait_for_function("made === 1")
    page.locator("#other-sample").evaluate("button => button.click()")
    expect(page.locator("#marking-none")).to_be_hidden()
    draw(page)
    shown = read_stage(page)
    page.evaluate("letGo()")
    assert read_stage(page) == shown


def test_a_job_waits_for_pictures_that_are_still_being_read(page: Page, service: Embedded, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "few", 3)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(folder.iterdir())[1:]:
            archive.write(file, file.name)
    page.goto("/jobs/new")
    page.set_input_files("#files-input", folder / "shirt-000.png")
    expect(page.locator("#shipment-text")).to_contain_text("1 of 1 pictures sent")
    draw(page)
    reading = HeldRequests(page, "**/zip-core.min.js")
    zipped = {"name": "more.zip", "mimeType": "application/zip", "buffer": packed.getvalue()}
    page.set_input_files("#files-input", files=zipped)  # type: ignore[arg-type]
    reading.wait()
    page.get_by_role("button", name="Clean the pictures").click()
    expect(page.locator("#start-text")).to_have_text("Waiting until all is sent…")
    reading.go()
    page.wait_for_url(re.compile(r"/jobs/job_"), timeout=LONG_MS)
    assert job_of(service, page)["total"] == 3


def test_sending_is_paused_and_goes_on(page: Page, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "winter", 30)
    sending = HeldRequests(page, "**/blobs/*")
    page.goto("/jobs/new")
    page.set_input_files("#folder-input", folder)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#shipment-text")).to_contain_text("paused")
    expect(page.locator("#shipment-text")).to_contain_text("0 of 30")
    sending.go()
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#shipment-text")).to_contain_text("30 of 30 pictures sent")
    page.get_by_role("button", name="Leave all out").click()
    expect(page.locator("#shipment")).to_be_hidden()
    expect(page.locator("#missing")).to_have_text("Still missing: the pictures.")


def test_sending_goes_on_after_a_pause_of_no_time(page: Page, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "winter", 30)
    page.goto("/jobs/new")
    page.set_input_files("#folder-input", folder)
    page.evaluate("""() => {
        const [pause, resume] = [document.getElementById("ship-pause"), document.getElementById("ship-resume")];
        for (const button of [pause, resume, pause, resume]) button.click();
    }""")
    expect(page.locator("#shipment-text")).to_contain_text("30 of 30 pictures sent")


def test_a_zip_is_unpacked_and_boxes_keep_their_distance_to_a_corner(
    page: Page, service: Embedded, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "summer", 5)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"summer/{file.name}")
        archive.writestr("__MACOSX/summer/._shirt-000.png", b"")
        archive.writestr("summer/notes.txt", "not a picture")
    page.goto("/jobs/new")
    file = {"name": "summer.zip", "mimeType": "application/zip", "buffer": packed.getvalue()}
    page.set_input_files("#files-input", files=file)  # type: ignore[arg-type]
    expect(page.locator("#shipment-text")).to_contain_text("5 of 5 pictures sent")
    page.get_by_text("Draw boxes").click()
    draw(page)
    expect(page.locator("#anchor")).to_have_value("center")
    page.locator("#anchor").select_option("bottom_right")
    page.locator("#scale").select_option("width")
    submit_form(page)
    job = job_of(service, page)
    mask = job["mask"]
    assert isinstance(mask, dict)
    assert (mask["size"], mask["anchor"], mask["scale"]) == ([WIDTH, HEIGHT], "bottom_right", "width")
    assert len(mask["boxes"]) == 1
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
    expect(page.get_by_text("shirt-000.png")).to_be_visible()


def test_a_sample_that_the_browser_cannot_show_is_shown_by_the_service(page: Page, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "spring", 2)
    for file in list(folder.iterdir()):
        with Image.open(file) as picture:
            picture.save(file.with_suffix(".tiff"))
        file.unlink()
    page.goto("/jobs/new")
    page.set_input_files("#folder-input", folder)
    expect(page.locator("#marking-none")).to_be_hidden()
    draw(page)
    submit_form(page)
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)


def test_an_empty_file_is_named_and_holds_up_no_other_picture(page: Page, tmp_path: Path) -> None:
    """Links are requested for many files at once: one that the service refuses must not refuse the others."""
    folder = folder_of(tmp_path / "catalogue", 12)
    (folder / "shirt-006.png").write_bytes(b"")
    page.goto("/jobs/new")
    page.set_input_files("#files-input", sorted(folder.iterdir()))
    expect(page.locator("#shipment-text")).to_contain_text("11 of 12 pictures sent")
    expect(page.locator("#ship-failed > li")).to_have_count(1)
    expect(page.locator("#ship-failed")).to_contain_text("shirt-006.png")
    forgive(page.context)


def test_a_picture_that_is_cut_off_is_passed_over_as_a_sample(page: Page, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "catalogue", 3)
    first = folder / "shirt-000.png"
    first.write_bytes(first.read_bytes()[: first.stat().st_size // 2])
    page.goto("/jobs/new")
    page.set_input_files("#files-input", sorted(folder.iterdir()))
    expect(page.locator("#marking-none")).to_be_hidden()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_bad_lines_of_a_list_are_named_and_an_uploaded_mask_is_sent(page: Page, tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text("url\nhttps://shop.example/a.jpg\nftp://shop.example/b.jpg\n")
    page.goto("/jobs/new")
    page.get_by_text("In a list").click()
    page.set_input_files("#manifest", manifest)
    page.get_by_text("A mask file").click()
    page.set_input_files("#mask-file", mask_in(tmp_path))
    page.context.complaints.clear()  # type: ignore[attr-defined]
    page.get_by_role("button", name="Clean the pictures").click()
    expect(page.locator("#faults-list")).to_contain_text("line 3")
    assert_accessible(page)
    page.context.complaints.clear()  # type: ignore[attr-defined] # the console logs the refusal


@pytest.mark.parametrize(
    "options",
    [
        {"locale": "en-GB", "color_scheme": "light"},
        {"locale": "zh-CN", "color_scheme": "dark"},
        {"locale": "zh-CN", "viewport": PHONE, "has_touch": True, "reduced_motion": "reduce"},
    ],
    ids=["light-en", "dark-zh", "phone-zh"],
)
def test_a_new_job_is_accessible_and_fits(browser: Browser, service: Embedded, tmp_path: Path, options: dict) -> None:  # type: ignore[type-arg]
    with signed_in(browser, service, **options) as context:
        state_rights(context)
        page = context.new_page()
        page.goto("/jobs/new")
        assert_accessible(page)
        page.set_input_files("#folder-input", folder_of(tmp_path / "few", 3))
        expect(page.locator("#marking-none")).to_be_hidden()
        draw(page)
        expect(page.locator("#start")).to_be_enabled()
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
