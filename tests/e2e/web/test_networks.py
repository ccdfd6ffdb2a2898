"""The choice of the network on the page of one picture, and repairing a finished step in the other way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from model.networks.weights import SHIPPED as SHIPPED_FILE
from tests.browser import PHONE, assert_accessible
from tests.catalogue import png
from tests.e2e.web.bench import Bench
from tests.embedded import Embedded
from tests.texts import goods, laid, letters


def options_of_jobs(page: Page) -> list[dict[str, str]]:
    """A list that collects the options of the jobs that the page submits."""
    options: list[dict[str, str]] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/v1/jobs"):
            options.append(request.post_data_json["options"])

    page.on("request", note)
    return options


@pytest.fixture
def large_network(service: Embedded) -> Iterator[None]:
    """A second network in the service's folder, as `cleanplate weights pull` leaves it."""
    file = service.home / "weights" / "big-lama.safetensors"
    file.parent.mkdir(exist_ok=True)
    shutil.copy(SHIPPED_FILE, file)
    yield
    file.unlink()


def test_one_network_is_no_choice(page: Page, marked: Path) -> None:
    bench = Bench(page)
    bench.open(marked)
    expect(page.locator("#networks")).to_be_hidden()
    bench.drag((0.4, 0.4), (0.5, 0.4))
    bench.erase()
    expect(page.locator("#outcome")).to_be_visible()
    expect(page.locator("#outcome-network")).to_be_hidden()
    assert_accessible(page)


def test_the_chosen_network_repairs_and_is_remembered(page: Page, marked: Path, large_network: None) -> None:
    options = options_of_jobs(page)
    bench = Bench(page)
    bench.open(marked)
    choice = page.get_by_label("Network")
    expect(choice).to_have_value("")
    words = choice.locator("option").all_inner_texts()
    assert words[0].startswith("Small network")
    assert "better in wide holes" in words[1]
    bench.drag((0.4, 0.4), (0.5, 0.4))
    bench.erase()
    choice.select_option("big-lama")
    page.reload()
    expect(page.locator(".step")).to_have_count(2)
    expect(page.get_by_label("Network")).to_have_value("big-lama")
    assert_accessible(page)
    page.locator("#canvas").press("b")
    bench.drag((0.5, 0.5), (0.6, 0.5))
    bench.erase(2)
    assert options == [{}, {"model": "big-lama"}]
    page.set_viewport_size(PHONE)
    box = page.get_by_label("Network").bounding_box()
    assert box is not None and box["width"] > 40 and box["x"] + box["width"] <= PHONE["width"]


def test_a_step_is_repaired_in_the_other_way_as_a_further_step(page: Page, tmp_path: Path) -> None:
    marked, _ = laid(goods(), letters("Doe Shirts"), (0.6, 0.8))
    file = tmp_path / "goods.png"
    file.write_bytes(png(marked))
    options = options_of_jobs(page)
    bench = Bench(page)
    bench.open(file)
    page.get_by_role("button", name="Find text").click()
    expect(page.locator("#erase")).to_be_enabled(timeout=180_000)
    options.clear()
    bench.erase()
    outcome = page.locator("#outcome")
    expect(outcome).to_be_visible()
    recovered = "Recovered" in outcome.inner_text()
    assert recovered or "All of it is invented" in outcome.inner_text()
    assert_accessible(page)
    outcome.get_by_role("button").click()
    expect(page.locator(".step[aria-current]")).to_contain_text("Step 2", timeout=180_000)
    expect(page.locator(".step[aria-current]")).to_contain_text("from “Original”")
    assert options == [{}, {"method": "fill" if recovered else "recover"}]
    if recovered:
        expect(outcome).to_contain_text("All of it is invented by the network")
        expect(outcome.get_by_role("button", name="Recover instead")).to_be_visible()
    page.reload()
    expect(page.locator(".step")).to_have_count(3)
    expect(outcome).to_be_visible()
