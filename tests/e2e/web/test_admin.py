"""The operations page: devices, queues, keys, pauses and the audit log, for keys with the scope."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cleanplate.client.http import Client
from tests import patient
from tests.browser import PHONE, HeldRequests, assert_accessible, context_of, forgive, signed_in
from tests.e2e.web.catalogue import api_client, folder_of, mask_in, submit_folder
from tests.embedded import Embedded, embedded
from tests.marked import marked_pictures
from tests.running import until
from tests.webhook_receiver import receiver_running

#: On a busy machine a worker takes minutes to start.
LONG_MS = 180_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A service whose operator signs in."""
    with embedded(tmp_path_factory.mktemp("admin")) as running_service:
        yield running_service


def test_keys_are_made_and_revoked_and_everything_is_paused(page: Page, service: Embedded) -> None:
    page.goto("/admin")
    expect(page.get_by_role("heading", name="Workers and devices")).to_be_visible()
    expect(page.locator("#live")).to_contain_text("cpu", timeout=LONG_MS)
    page.get_by_text("New key").click()
    page.get_by_label("Name").fill("<b>shop</b>")
    page.get_by_role("button", name="Make the key").click()
    secret = page.locator("#secret").inner_text()
    with_key = {"headers": {"Authorization": f"Bearer {secret}"}}
    assert patient.get(f"{service.url}/v1/jobs", **with_key).status_code == 200  # type: ignore[arg-type]
    assert patient.get(f"{service.url}/v1/webhooks", **with_key).status_code == 200  # type: ignore[arg-type]
    page.get_by_role("button", name="Revoke <b>shop</b>").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Revoke the key <b>shop</b>?")
    assert_accessible(page)
    dialog.get_by_role("button", name="Leave it").click()
    assert patient.get(f"{service.url}/v1/jobs", **with_key).status_code == 200  # type: ignore[arg-type]
    page.get_by_role("button", name="Revoke <b>shop</b>").click()
    dialog.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("revoked", exact=True)).to_be_visible()
    assert patient.get(f"{service.url}/v1/jobs", **with_key).status_code == 401  # type: ignore[arg-type]
    expect(page.get_by_text("Key revoked").first).to_be_visible()
    page.locator("#switch-everything").click()
    expect(page.get_by_text("Everything is paused")).to_be_visible()
    page.locator("#switch-everything").click()
    expect(page.get_by_text("Everything is paused")).to_be_hidden()


def test_the_parts_of_the_service_and_the_work_of_a_tenant_are_seen_at_a_glance(
    page: Page, service: Embedded, tmp_path: Path
) -> None:
    job = submit_folder(service, folder_of(tmp_path / "pictures", 3), mask_in(tmp_path))
    with Client(service.url, service.key) as client:
        client.wait(job.id)
    page.goto("/admin")
    health = page.locator(".health")
    for part in ("Database", "Storage", "Disk", "Workers", "Dispatcher"):
        expect(health.locator("li", has_text=part)).to_contain_text("works", timeout=LONG_MS)
    expect(page.get_by_text("In the last 30 days: ")).to_contain_text("pictures, 0.0 megapixels")
    rows = page.locator("section", has=page.get_by_role("heading", name="Audit log")).locator("tbody tr")
    expect(rows.filter(has_text="Job handed over")).not_to_have_count(0)
    expect(rows.filter(has_text="Picture cleaned")).to_have_count(0)
    page.get_by_label("What", exact=True).select_option("all, single pictures too")
    page.get_by_label("Job", exact=True).fill(job.id)
    page.get_by_role("button", name="Search").click()
    expect(rows.filter(has_text="Picture cleaned")).to_have_count(3)
    expect(rows.filter(has_not_text=job.id)).to_have_count(0)
    page.get_by_label("What", exact=True).select_option("Keys")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Nothing matches.")).to_be_visible()


def test_the_pace_and_the_backlog_are_charted_over_an_hour_and_a_day(page: Page, service: Embedded) -> None:
    minutes = [
        (datetime.now(UTC) - timedelta(minutes=ago)).replace(second=0, microsecond=0) for ago in range(40, 1, -1)
    ]
    rows = [(f"{minute:%Y-%m-%d %H:%M}:00.000000", 10 + number, 5 * number) for number, minute in enumerate(minutes)]
    with closing(sqlite3.connect(service.home / "ledger.sqlite3", timeout=30)) as ledger, ledger:
        ledger.executemany("INSERT OR REPLACE INTO flow (minute, ended, waiting) VALUES (?, ?, ?)", rows)
    page.goto("/admin")
    ended = page.locator("#flow-ended").get_by_role("img")
    waiting = page.locator("#flow-waiting").get_by_role("img")
    expect(waiting).to_have_accessible_name(re.compile(r"^Pictures that waited, last hour: last \d+, at most 190$"))
    expect(ended).to_have_accessible_name(
        re.compile(r"^Pictures that ended a minute, last hour: last [\d.]+, at most 48$")
    )
    expect(ended.locator(".chart-line")).not_to_have_count(0)
    expect(waiting.locator("text").first).to_be_visible()
    page.get_by_role("button", name="Last day").click()
    expect(waiting).to_have_accessible_name(re.compile(r"^Pictures that waited, last day: last \d+, at most 190$"))
    assert_accessible(page)
    page.set_viewport_size(PHONE)
    page.wait_for_function("document.querySelector('#flow-ended svg').clientWidth < 400")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_failed_posts_of_a_webhook_are_made_again(page: Page, service: Embedded, tmp_path: Path) -> None:
    with api_client(service) as http, receiver_running() as receiver:
        webhook = http.post("/v1/webhooks", json={"url": receiver.url}).json()["id"]
        ping = http.post(f"/v1/webhooks/{webhook}/ping").json()["id"]
        posted = f"/v1/webhooks/{webhook}/deliveries/{ping}"
        until(lambda: http.get(posted).json()["state"] == "delivered", "nothing was posted")
        with closing(sqlite3.connect(service.home / "ledger.sqlite3", timeout=30)) as ledger, ledger:
            ledger.execute("UPDATE webhook_deliveries SET state = 'failed' WHERE id = ?", [ping])
            disabled = "UPDATE webhook_endpoints SET disabled_at = created_at, disabled_reason = 'gone' WHERE id = ?"
            ledger.execute(disabled, [webhook])
        page.goto("/admin")
        row = page.locator(f"[data-webhook={webhook}]")
        expect(row).to_contain_text("switched off")
        expect(row).to_contain_text("1 post has failed for good")
        assert_accessible(page)
        row.get_by_role("button", name="Switch on and post the failed again").click()
        expect(row).to_contain_text("1 post is made again")
        until(lambda: http.get(posted).json()["state"] == "delivered", "it was not posted again")
        assert len(receiver.received) == 2


def test_a_button_that_is_pressed_while_the_news_come_is_pressed(page: Page) -> None:
    news = HeldRequests(page, "**/admin/live")
    page.goto("/admin")
    news.wait()
    page.locator("#switch-everything").hover()
    page.mouse.down()
    with page.expect_response("**/admin/live"):
        news.go()
    with page.expect_response("**/admin/live"):
        pass
    page.mouse.up()
    expect(page.get_by_text("Everything is paused")).to_be_visible()
    page.locator("#switch-everything").click()
    expect(page.get_by_text("Everything is paused")).to_be_hidden()


def test_templates_are_looked_at_approved_and_deleted(page: Page, service: Embedded, tmp_path: Path) -> None:
    pictures = []
    for number, (marked, _) in enumerate(marked_pictures(24)):
        pictures.append(tmp_path / f"{number:02}.png")
        Image.fromarray(marked).save(pictures[-1])
    with Client(service.url, service.key) as client:
        for _ in range(2):
            client.templates.wait(client.templates.from_mask("the bar", mask_in(tmp_path)).id)
        estimate = client.templates.estimate("<i>spring</i>", pictures)
        client.templates.wait(estimate.id)
    page.goto("/admin")
    rows = page.locator(".template-row")
    expect(rows).to_have_count(3)
    expect(rows.filter(has_text="the bar, version 2")).to_be_visible()
    spring = rows.filter(has_text="<i>spring</i>")
    expect(spring.locator(".state")).to_have_text("to be approved")
    spring.get_by_role("button", name="Look").click()
    expect(spring.locator(".sample").first).to_be_visible()
    assert_accessible(page)
    spring.get_by_role("button", name="Approve").click()
    expect(spring.locator(".state")).to_have_text("ready")
    spring.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(rows).to_have_count(2)
    with Client(service.url, service.key) as client:
        assert {template.name for template in client.templates.list()} == {"the bar"}


def test_without_the_scope_there_is_no_such_page(browser: Browser, page: Page, service: Embedded) -> None:
    page.goto("/admin")
    page.get_by_text("New key").click()
    page.get_by_label("Name").fill("reader")
    page.get_by_role("button", name="Make the key").click()
    secret = page.locator("#secret").inner_text()
    with context_of(browser, service.url) as context:
        reader = context.new_page()
        reader.goto("/jobs")
        reader.get_by_label("API key").fill(secret)
        reader.keyboard.press("Enter")
        expect(reader.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
        expect(reader.get_by_role("link", name="Operations")).to_have_count(0)
        reader.goto("/admin")
        expect(reader.get_by_role("heading", level=1)).to_have_text("The API key does not allow this")
        forgive(context)


@pytest.mark.parametrize(
    "options",
    [
        {"locale": "en-GB", "color_scheme": "light"},
        {"locale": "zh-CN", "color_scheme": "dark"},
        {"locale": "zh-CN", "viewport": PHONE, "has_touch": True, "reduced_motion": "reduce"},
    ],
    ids=["light-en", "dark-zh", "phone-zh"],
)
def test_operations_are_accessible_and_fit(browser: Browser, service: Embedded, options: dict) -> None:  # type: ignore[type-arg]
    with signed_in(browser, service, **options) as context:
        page = context.new_page()
        page.goto("/admin")
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
