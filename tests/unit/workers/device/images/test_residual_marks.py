"""A mark that still shows in the result: the image fails, or succeeds with a flag, as its job says.

An edge of the picture lies along the mark's edge: every fill continues it, so it looks like the mark.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cleanplate.base.masks import TemplateMask
from storage.records import ImageState, TemplateKind, TemplateState
from tests.catalogue import Catalogue, pixels_of, png
from tests.unit.workers.conftest import WorkerOn
from tests.unit.workers.device.templates.test_templates import job_with, now, wanted
from workers.device.images.pipeline import run_shard
from workers.device.templates.pipeline import make_template

Pixels = NDArray[np.uint8]
TALL, WIDE, TOP, LEFT, OPACITY = 10, 200, 95, 30, 0.5


def bar() -> bytes:
    """A white bar, as a logo of the picture's middle."""
    out = io.BytesIO()
    Image.new("RGBA", (WIDE, TALL), (255, 255, 255, 255)).save(out, "PNG")
    return out.getvalue()


def along_an_edge() -> Pixels:
    """The bar over a picture whose horizon is the bar's upper edge."""
    picture = np.full((200, 260, 3), 40, np.float32)
    picture[TOP:] = 150
    picture += np.random.default_rng(1).normal(0, 3, picture.shape)
    part = picture[TOP : TOP + TALL, LEFT : LEFT + WIDE]
    part[:] = part * (1 - OPACITY) + 255 * OPACITY
    return np.rint(picture.clip(0, 255)).astype(np.uint8)


@pytest.mark.parametrize("wish", ["fail", "flag"])
def test_a_mark_that_still_shows_fails_its_image_or_is_flagged(
    catalogue: Catalogue, worker_on: WorkerOn, wish: str
) -> None:
    worker = worker_on(catalogue.settings)
    template = wanted(catalogue, TemplateKind.LOGO, [bar()], place={"anchor": "center", "opacity": OPACITY})
    make_template(template.id, worker)
    assert now(catalogue, template).state is TemplateState.READY
    marked = along_an_edge()
    job = job_with(catalogue, [png(marked)], TemplateMask(template=template.id), residual_mark=wish)
    run_shard(catalogue.ids(job), worker)
    (image,) = catalogue.images(job)
    if wish == "fail":
        assert (image.state, image.error_code, image.result_key) == (ImageState.FAILED, "residual_mark", None)
        assert "residual_mark: flag" in (image.error_detail or "")
        assert catalogue.results(job) == []
        assert catalogue.job(job).counts.failed == 1
    else:
        assert (image.state, image.error_code) == (ImageState.SUCCEEDED, None)
        assert image.record.residual_mark is True
        assert abs(image.record.ghost) > 0.25
        result = pixels_of(catalogue.blobs.get(image.result_key or ""))
        assert np.array_equal(result[: TOP - 12], marked[: TOP - 12])
