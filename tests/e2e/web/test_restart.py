"""The service dies while a page is at work, comes back, and the page goes on by itself."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser import context_of, forgive, state_rights
from tests.e2e.web.bench import Bench
from tests.embedded import Embedded
from tests.running import processes_with, until


def kill_all(service: Embedded) -> None:
    """``kill -9`` for every process of the service: nothing is told to stop, nothing is tidied up."""
    mark = f"CLEANPLATE_HOME={service.home}"
    for pid in processes_with(mark):
        with suppress(ProcessLookupError):  # it died with its parent
            os.kill(pid, signal.SIGKILL)
    until(lambda: not processes_with(mark), "processes of the service outlived kill -9", within_s=20)


def test_a_repair_outlives_the_service(browser: Browser, marked: Path, tmp_path: Path) -> None:
    service = Embedded(tmp_path)
    with context_of(browser, service.url) as context:
        state_rights(context)
        with service.up():
            bench = Bench(context.new_page())
            bench.open(marked)
            bench.drag((0.2, 0.7), (0.8, 0.3))
            with bench.page.expect_response("**/v1/jobs") as accepted:
                bench.page.keyboard.press("Enter")
            assert accepted.value.status == 202
            kill_all(service)
            expect(bench.page.locator("#busy-text")).to_have_text("The service does not answer. Trying again…")
        with service.up():
            bench.wait_for_step(1)
            forgive(context)
            assert bench.downloaded()[0] == f"{marked.stem}-clean.png"


def test_what_is_begun_while_the_service_is_away_is_done_when_it_is_back(
    browser: Browser, marked: Path, tmp_path: Path
) -> None:
    service = Embedded(tmp_path)
    with context_of(browser, service.url) as context:
        state_rights(context)
        with service.up():
            bench = Bench(context.new_page())
            bench.page.goto("/")
        bench.take(marked)
        bench.drag((0.4, 0.4), (0.5, 0.4))
        bench.page.keyboard.press("Enter")
        expect(bench.page.locator("#busy-text")).to_have_text("The service does not answer. Trying again…")
        with service.up():
            bench.wait_for_step(1)
            forgive(context)
