"""The large network from the page: the offer, the download with all that may happen to it, both networks side by side.

A small network stands in for the published file. The service under test knows it by its digest, which
``sitecustomize`` puts in the place of the publisher's; the check of the digest is the product's own.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page, expect

from model.networks.lama import LaMaGenerator
from tests.browser import PHONE, assert_accessible, forgive, read_stage
from tests.e2e.web.bench import LONG_MS, Bench
from tests.e2e.web.test_networks import options_of_jobs
from tests.embedded import Embedded, embedded
from tests.range_server import FileServer, file_server

_PROGRAM = """
import os
from dataclasses import replace
from cleanplate.base import weights
known = weights.PUBLISHED[weights.LARGE]
weights.PUBLISHED[weights.LARGE] = replace(known, digest=os.environ["TEST_LARGE_DIGEST"])
"""


@pytest.fixture(scope="module")
def file() -> bytes:
    """A checkpoint of a small network of the large one's family."""
    torch.manual_seed(0)
    state = LaMaGenerator(ngf=16, n_blocks=2).state_dict()
    made = io.BytesIO()
    torch.save({"state_dict": {f"generator.{name}": value for name, value in state.items()}}, made)
    return made.getvalue()


@pytest.fixture(scope="module")
def server(file: bytes) -> Iterator[FileServer]:
    with file_server(file) as here:
        yield here


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, server: FileServer) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("large")
    (folder / "sitecustomize.py").write_text(_PROGRAM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        patch.setenv("TEST_LARGE_DIGEST", f"md5:{hashlib.md5(server.data).hexdigest()}")
        with embedded(folder, settings={"CLEANPLATE_WEIGHTS_MIRROR": server.url}) as running_service:
            yield running_service


@pytest.fixture
def fresh(service: Embedded, server: FileServer, file: bytes) -> Iterator[None]:
    """The service without the network, and the server as it should be."""
    for path in (service.home / "weights").glob("*big-lama*"):
        path.unlink()
    server.data, server.statuses, server.cuts, server.go_on = file, [], [], None
    server.requests.clear()
    yield
    if server.go_on is not None:
        server.go_on.set()


def test_up_offers_the_network_once(service: Embedded) -> None:
    log = (service.home.parent / "up.log").read_text()
    assert log.count("There is a large network, 200 MB, better in wide holes, about 4 times slower here") == 1
    assert (service.home / "weights" / ".offered").exists()


@pytest.mark.usefixtures("fresh")
def test_the_offer_can_be_put_off_and_stays_small(page: Page) -> None:
    page.goto("/")
    offer = page.locator("#large")
    expect(offer).to_contain_text("Large network, 200 MB: better in wide holes, about 4 times slower here.")
    assert_accessible(page)
    offer.get_by_role("button", name="Not now").click()
    expect(page.locator("#large-text")).to_be_hidden()
    page.reload()
    expect(page.locator("#large-text")).to_be_hidden()
    expect(page.get_by_role("button", name="Add the large network")).to_be_visible()
    assert_accessible(page)


@pytest.mark.usefixtures("fresh")
def test_it_is_fetched_with_progress_stopped_gone_on_with_and_offered_without_a_restart(
    page: Page, marked: Path, server: FileServer
) -> None:
    server.go_on = threading.Event()
    page.goto("/")
    page.get_by_role("button", name="Add the large network").click()
    expect(page.locator("#large-state")).to_contain_text(" of ", timeout=LONG_MS)
    assert 0 < float(page.locator("#large progress").evaluate("bar => bar.value")) < 1
    assert_accessible(page)
    page.reload()  # the service goes on with it
    expect(page.locator("#large-state")).to_contain_text(" of ")
    page.locator("#large-stop").click()
    expect(page.locator("#large-state")).to_contain_text("Stopped: ", timeout=LONG_MS)
    server.go_on.set()
    server.go_on = None
    bench = Bench(page)
    bench.choose(marked)
    expect(page.locator(".side-foot #large")).to_be_visible()  # the offer goes with the person
    expect(page.locator("#networks")).to_be_hidden()
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#network option")).to_have_count(2, timeout=LONG_MS)
    assert server.requests[-1].get("range", "").startswith("bytes=")
    expect(page.locator("#large")).to_have_count(0)
    expect(page.locator("#networks")).to_be_visible()
    assert_accessible(page)


@pytest.mark.usefixtures("fresh")
def test_what_fails_says_what_to_do_in_either_language(page: Page, server: FileServer, service: Embedded) -> None:
    page.goto("/")
    get = page.locator("#large-get")

    def fails(words: str) -> None:
        get.click()
        expect(page.locator("#large-state")).to_contain_text(words, timeout=LONG_MS)
        expect(get).to_have_text("Try again")

    good = server.data
    server.data = good[:-1] + b"!"
    fails("not the file of its publisher, and was deleted")
    assert not list((service.home / "weights").glob("big-lama.*"))
    server.data = good
    server.statuses = [404]
    fails("does not hand the file out")
    (service.home / "weights" / "big-lama.partial").symlink_to("/dev/full")
    fails("make room at")
    (service.home / "weights" / "big-lama.partial").unlink()
    assert_accessible(page)
    page.goto("/?lang=zh-CN")
    expect(page.locator("#large-state")).to_contain_text("磁盘空间不足")
    page.goto("/?lang=en")
    forgive(page.context)


@pytest.mark.usefixtures("fresh")
def test_both_networks_repair_one_mask_side_by_side_and_one_result_is_kept(
    page: Page, marked: Path, service: Embedded, server: FileServer
) -> None:
    options = options_of_jobs(page)
    bench = Bench(page)
    bench.open(marked)
    page.locator("#large-get").click()
    expect(page.locator("#network option")).to_have_count(2, timeout=LONG_MS)
    bench.drag((0.4, 0.4), (0.5, 0.4))
    page.get_by_role("button", name="Erase with both, and compare").click()
    pair = page.locator("#pair")
    expect(pair).to_be_visible(timeout=LONG_MS)
    assert options == [{}, {"model": "big-lama"}]
    expect(page.locator("#label-before")).to_have_text("Small network")
    expect(page.locator("#label-after")).to_have_text("Large network")
    expect(page.locator(".step")).to_have_count(3)
    expect(page.locator("#outcome")).to_be_hidden()
    assert_accessible(page)
    divider = page.get_by_role("slider", name="How much of the picture before is shown")
    divider.focus()
    page.keyboard.press("Home")
    large = read_stage(page)
    page.keyboard.press("End")
    assert read_stage(page) != large
    pair.get_by_role("button", name="The left one: Small network").click()
    expect(pair).to_be_hidden()
    expect(page.locator(".step")).to_have_count(2)
    expect(page.locator(".step[aria-current]")).to_have_text("Step 1")

    page.get_by_role("button", name="Compare with: Large network").click()
    expect(pair).to_be_visible(timeout=LONG_MS)
    assert options[2:] == [{"model": "big-lama"}]
    page.set_viewport_size(PHONE)
    assert_accessible(page)
    box = pair.bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
    pair.get_by_role("button", name="The right one: Large network").click()
    expect(page.locator(".step")).to_have_count(2)
    page.reload()
    expect(page.locator(".step")).to_have_count(2)
    page.locator(".step").nth(1).click()
    expect(page.get_by_role("button", name="Compare with: Small network")).to_be_visible()
    expect(page.locator("#label-before")).to_be_hidden()
