"""The mask in place of the repaired picture: of text, of a known mark, and as it was painted."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cleanplate.base.masks import BoxesMask, TemplateMask, TextMask
from storage.records import ImageState, TemplateKind
from tests.catalogue import Catalogue, png
from tests.texts import HEIGHT, WIDTH, goods, laid, letters
from tests.unit.workers.conftest import WorkerOn
from tests.unit.workers.device.templates.test_templates import job_with, wanted
from workers.device.images.pipeline import run_shard
from workers.device.templates.pipeline import make_template


def mask_of(catalogue: Catalogue, key: str | None) -> NDArray[np.uint8]:
    """A result, which is a PNG of one channel with two values."""
    with Image.open(io.BytesIO(catalogue.blobs.get(key or ""))) as file:
        assert (file.format, file.mode) == ("PNG", "L")
        mask = np.asarray(file)
    assert set(np.unique(mask)) <= {0, 255}
    return mask


def test_text_comes_back_as_its_mask_and_nothing_is_repaired(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    marked, ink = laid(goods(), letters("Doe Shirts"), (0.7, 0.85))
    mask = TextMask(mode="text", any_text=True)
    job = job_with(catalogue, [png(marked), png(goods(2))], mask, result="mask")
    run_shard(catalogue.ids(job), worker_on(catalogue.settings))
    found, without = catalogue.images(job)
    assert (found.state, found.content_type, found.tiles_done) == (ImageState.SUCCEEDED, "image/png", 0)
    assert (found.record.texts, found.record.written) == (["Doe Shirts"], "mask")
    pixels = mask_of(catalogue, found.result_key)
    assert pixels.shape == (HEIGHT, WIDTH)
    assert (pixels[ink] > 0).mean() > 0.9
    assert found.record.masked_share is not None and found.record.masked_share < 0.1
    assert (without.state, without.record.reason) == (ImageState.SKIPPED, "text_not_found")


def test_a_known_mark_comes_back_as_its_mask_with_how_sure_it_is(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    worker = worker_on(catalogue.settings)
    alpha = (letters("SHOP", 60) * 255).astype(np.uint8)
    logo = np.dstack([np.full((*alpha.shape, 3), 255, np.uint8), alpha])
    marked, ink = laid(goods(), letters("SHOP", 60), (0.5, 0.5))
    place = {"anchor": "center", "opacity": 0.6}
    template = wanted(catalogue, TemplateKind.LOGO, [png(logo)], place=place)
    make_template(template.id, worker)
    job = job_with(catalogue, [png(marked), png(goods(2))], TemplateMask(template=template.id), result="mask")
    run_shard(catalogue.ids(job), worker)
    found, without = catalogue.images(job)
    assert (found.state, found.error_detail) == (ImageState.SUCCEEDED, None)
    pixels = mask_of(catalogue, found.result_key) > 0
    assert (pixels & ink).sum() / (pixels | ink).sum() > 0.7
    assert found.record.template == template.id
    assert found.record.certainty is not None and found.record.certainty[0] > 0.5
    assert (without.state, without.record.reason) == (ImageState.SKIPPED, "mark_not_found")


def test_a_painted_mask_comes_back_as_the_service_reads_it(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    mask = BoxesMask(boxes=[(0.25, 0.5, 0.5, 0.25)], units="relative")
    job = job_with(catalogue, [png(goods())], mask, result="mask")
    run_shard(catalogue.ids(job), worker_on(catalogue.settings))
    (image,) = catalogue.images(job)
    marked = np.argwhere(mask_of(catalogue, image.result_key) > 0)
    assert marked.min(axis=0).tolist() == [HEIGHT // 2, WIDTH // 4]
    assert marked.max(axis=0).tolist() == [3 * HEIGHT // 4 - 1, 3 * WIDTH // 4 - 1]
