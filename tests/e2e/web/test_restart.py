"""The service or its worker dies while a page is working and restarts; the page continues by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cleanplate.base.processes import CRASH_LOOP
from tests.browser import assert_accessible, context_of, forgive, sign_in, state_rights
from tests.e2e.web.bench import LONG_MS, Bench
from tests.e2e.web.catalogue import api_client, folder_of, lasting_in, mask_in, submit_paused
from tests.embedded import Embedded
from tests.running import processes_with, until


class Restarted(Embedded):
    """A service that runs at the beginning and the end of each test, so that the next one need not start it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._life = ExitStack()

    def start(self) -> None:
        self._life.enter_context(self.up())

    def stop(self) -> None:
        """Stop it in good order, unless it was killed."""
        self._life.pop_all().close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restarted]:
    restarted = Restarted(tmp_path_factory.mktemp("restarted"))
    restarted.start()
    yield restarted
    restarted.stop()


def test_a_repair_outlives_the_service(browser: Browser, service: Restarted, marked: Path) -> None:
    with context_of(browser, service.url) as context:
        state_rights(context)
        sign_in(context, service)
        bench = Bench(context.new_page())
        bench.open(marked)
        bench.drag((0.2, 0.7), (0.8, 0.3))
        with bench.page.expect_response("**/v1/jobs") as accepted:
            bench.page.keyboard.press("Enter")
        assert accepted.value.status == 202
        service.kill()
        service.stop()
        expect(bench.page.locator("#busy-text")).to_have_text("The service does not answer. Trying again…")
        service.start()
        bench.wait_for_step(1)
        forgive(context)
        assert bench.download()[0] == f"{marked.stem}-clean.png"


def test_a_repair_begun_while_the_service_is_away_ends_when_it_is_back(
    browser: Browser, service: Restarted, marked: Path
) -> None:
    with context_of(browser, service.url) as context:
        state_rights(context)
        sign_in(context, service)
        bench = Bench(context.new_page())
        bench.page.goto("/")
        service.stop()
        bench.choose(marked)
        bench.drag((0.4, 0.4), (0.5, 0.4))
        bench.page.keyboard.press("Enter")
        expect(bench.page.locator("#busy-text")).to_have_text("The service does not answer. Trying again…")
        service.start()
        bench.wait_for_step(1)
        forgive(context)


def test_a_jobs_page_follows_it_over_a_restart(browser: Browser, service: Restarted, tmp_path: Path) -> None:
    pictures, mask = lasting_in(tmp_path, 4)
    with context_of(browser, service.url) as context:
        page = context.new_page()
        sign_in(context, service)
        job = submit_paused(service, pictures, mask)
        page.goto(f"/jobs/{job.id}")
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#state")).to_have_text("running", timeout=LONG_MS)
        service.kill()
        service.stop()
        expect(page.locator("#away")).to_be_visible()
        service.start()
        expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
        expect(page.locator("#done")).to_have_text("4 of 4")
        expect(page.locator("#away")).to_be_hidden()
        page.close()  # before the service stops, or its console would log errors
        forgive(context)


def end_worker(service: Restarted, ended: set[int]) -> None:
    """End the worker's supervisor of the service, once there is one that is not among those ``ended``."""

    def living() -> int | None:
        commands = processes_with(f"CLEANPLATE_HOME={service.home}")
        pids = (pid for pid, command in commands.items() if command.endswith("cleanplate worker") and pid not in ended)
        return next(pids, None)

    pid = until(living, "no worker was started")
    os.kill(pid, signal.SIGTERM)
    ended.add(pid)


def test_a_job_without_a_worker_says_so_and_why_until_one_comes(page: Page, service: Restarted, tmp_path: Path) -> None:
    job = submit_paused(service, folder_of(tmp_path / "pictures", 4), mask_in(tmp_path))
    away, ended = page.locator("#workers"), set[int]()
    for _ in range(CRASH_LOOP):
        end_worker(service, ended)
    with api_client(service) as http:
        until(lambda: http.get("/readyz").json()["reason"] == "worker_down", "the worker's end was not reported")
        # The parent restarts nothing while it is stopped.
        [up] = [
            pid
            for pid, command in processes_with(f"CLEANPLATE_HOME={service.home}").items()
            if command.endswith("cleanplate up")
        ]
        os.kill(up, signal.SIGSTOP)
        try:
            page.goto(f"/jobs/{job.id}")
            expect(away).to_contain_text("No worker is running. The pictures wait until one starts.")
            expect(page.locator("#workers-reason")).to_have_text("worker_down")
            assert_accessible(page)
        finally:
            os.kill(up, signal.SIGCONT)
        expect(away).to_be_hidden(timeout=LONG_MS)
        http.post(f"/v1/jobs/{job.id}/resume").raise_for_status()
    expect(page.locator("#state")).to_have_text("completed", timeout=LONG_MS)
