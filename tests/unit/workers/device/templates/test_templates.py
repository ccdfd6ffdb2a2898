"""Templates through a worker: made of masks, logos and pictures, and removed from the pictures of a job."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.marks import Scene, text
from bench.marks import logo as disc
from cleanplate.base.masks import AutoMask, JobMask, Placement, TemplateMask
from cleanplate.base.options import JobOptions
from cleanplate.base.settings import Settings
from storage.ledger.jobs.submission import submit_job
from storage.ledger.templates.leases import lease_template
from storage.ledger.templates.review import approve_job
from storage.ledger.templates.templates import create_template, get_template, list_templates
from storage.ledger.tenants.uploads import create_uploads
from storage.records import (
    ImageState,
    Job,
    JobState,
    NewImage,
    NewJob,
    NewTemplate,
    Template,
    TemplateKind,
    TemplateState,
)
from storage.records.specs import read_spec
from tests.catalogue import HEIGHT, WIDTH, Catalogue, bar_mask, catalogue_in, picture, pixels_of, png
from tests.marked import MARK_HEIGHT, MARK_WIDTH, marked_pictures
from tests.running import until
from tests.servers import PostgresServer
from tests.shop import RIGHTS
from tests.unit.model.watermark.scenes import marked
from tests.unit.workers.conftest import WorkerOn
from workers.device.drain import Drain
from workers.device.images.pipeline import run_shard
from workers.device.lease import Lease
from workers.device.templates.pipeline import make_template


def uploaded(catalogue: Catalogue, files: Sequence[bytes]) -> list[str]:
    names = [(f"{n}.png", "image/png") for n in range(len(files))]
    uploads = create_uploads(catalogue.database, catalogue.tenant_id, names, expires_in_s=3600)
    for upload, file in zip(uploads, files, strict=True):
        catalogue.blobs.put(upload.key, file, content_type="image/png")
    return [upload.id for upload in uploads]


def wanted(catalogue: Catalogue, kind: TemplateKind, files: Sequence[bytes], **spec: Any) -> Template:
    document = {"upload_ids": uploaded(catalogue, files), **spec}
    new = NewTemplate(name="mark", spec=read_spec(kind, document))
    return create_template(catalogue.database, catalogue.tenant_id, new)


def now(catalogue: Catalogue, template: Template) -> Template:
    return get_template(catalogue.database, catalogue.tenant_id, template.id)


def job_with(catalogue: Catalogue, files: Sequence[bytes], mask: JobMask, **options: Any) -> Job:
    images = [NewImage(name=None, source_upload_id=name) for name in uploaded(catalogue, files)]
    new = NewJob(images=images, mask=mask, options=JobOptions(**options), rights=RIGHTS)
    return submit_job(catalogue.database, catalogue.tenant_id, new)


def logo(alpha: int = 255) -> bytes:
    """A white bar with a hole, in the middle of nothing."""
    pixels = np.zeros((40, 60, 4), np.uint8)
    pixels[8:32, 8:52] = (255, 255, 255, alpha)
    pixels[16:24, 20:40, 3] = 0
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def laid(source: NDArray[np.uint8], opacity: float) -> NDArray[np.uint8]:
    """The logo on a picture, 10 px from its right and 6 from its bottom."""
    mark = np.asarray(Image.open(io.BytesIO(logo())), np.float32)
    alpha = mark[..., 3:] / 255 * opacity
    result = source.astype(np.float32)
    part = result[-46:-6, -70:-10]
    part[:] = part * (1 - alpha) + mark[..., :3] * alpha
    return np.rint(result).astype(np.uint8)


PLACE = {"anchor": "bottom_right", "margin_x": 10, "margin_y": 6, "opacity": 0.5}


def test_a_logo_is_taken_off_by_unblending(settings: Settings, worker_on: WorkerOn) -> None:
    with catalogue_in(settings) as catalogue:
        worker = worker_on(settings)
        template = wanted(catalogue, TemplateKind.LOGO, [logo()], place=PLACE)
        make_template(template.id, worker)
        assert now(catalogue, template).state is TemplateState.READY
        assert set(now(catalogue, template).previews) == {"mask", "opacity", "colour"}
        sources = [picture(seed) for seed in range(2)]
        clean = png(picture(7))
        files = [*(png(laid(source, 0.5)) for source in sources), clean]
        job = job_with(catalogue, files, TemplateMask(template=template.id))
        run_shard(catalogue.ids(job), worker)
        *cleaned, untouched = catalogue.images(job)
        for source, image in zip(sources, cleaned, strict=True):
            assert (image.state, image.error_detail) == (ImageState.SUCCEEDED, None)
            assert image.record.templates == [template.id]
            assert image.record.methods == ["unblended"]
            assert image.record.ghost < 0.2
            result = pixels_of(catalogue.blobs.get(image.result_key or ""))
            assert np.abs(result.astype(int) - source)[-46:-6, -70:-10].mean() < 6
            assert np.array_equal(result[:-50], source[:-50])
        assert untouched.state is ImageState.SKIPPED
        assert catalogue.blobs.get(untouched.result_key or "") == clean


@pytest.mark.parametrize(
    ("file", "code"),
    [(png(picture()), "logo_without_alpha"), (logo(0), "logo_empty"), (b"no picture", "image_unreadable")],
)
def test_a_file_that_is_no_logo_is_refused(catalogue: Catalogue, worker_on: WorkerOn, file: bytes, code: str) -> None:
    template = wanted(catalogue, TemplateKind.LOGO, [file], place=PLACE)
    make_template(template.id, worker_on(catalogue.settings))
    assert (now(catalogue, template).state, now(catalogue, template).error_code) == (TemplateState.FAILED, code)


def test_a_masks_template_is_inpainted(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    worker = worker_on(catalogue.settings)
    template = wanted(catalogue, TemplateKind.MASK, [png(bar_mask())], place={"anchor": "center"})
    make_template(template.id, worker)
    assert now(catalogue, template).place == Placement(anchor="center")
    job = job_with(catalogue, [png(picture(1, HEIGHT, WIDTH))], TemplateMask(template=template.id))
    run_shard(catalogue.ids(job), worker)
    (image,) = catalogue.images(job)
    assert (image.state, image.record.regions) == (ImageState.SUCCEEDED, 1)


def test_a_job_finds_its_mark_and_runs_when_it_is_approved(settings: Settings, worker_on: WorkerOn) -> None:
    with catalogue_in(settings) as catalogue:
        worker = worker_on(settings)
        pictures = marked_pictures(30)
        files = [*(png(marked) for marked, _ in pictures), b"no picture"]
        job = job_with(catalogue, files, AutoMask(mode="auto", approve="person"))
        (template,) = list_templates(catalogue.database, catalogue.tenant_id, limit=5, after=None, job_id=job.id)
        make_template(template.id, worker)
        template = now(catalogue, template)
        assert (template.state, template.error_detail) == (TemplateState.NEEDS_REVIEW, None)
        assert template.samples is not None
        assert template.samples >= 25
        assert {"mask", "opacity", "colour", "before-1", "after-1"} <= set(template.previews)
        for key in template.previews.values():
            assert pixels_of(catalogue.blobs.get(key)).size
        warning = template.warnings[-1]
        assert re.fullmatch(r"Pictures that could not be read: 1\. \S+: [A-Z].*\.", warning.detail)
        assert (warning.code, warning.params["count"]) == ("samples_unreadable", 1)
        assert f" {warning.params['names']}: " in warning.detail
        assert catalogue.job(job).state is JobState.NEEDS_REVIEW
        approve_job(catalogue.database, catalogue.tenant_id, job.id)
        run_shard(catalogue.ids(job), worker)
        *images, _ = catalogue.images(job)
        for (_, original), image in zip(pictures, images, strict=True):
            assert (image.state, image.error_detail) == (ImageState.SUCCEEDED, None)
            result = pixels_of(catalogue.blobs.get(image.result_key or ""))
            outside = np.ones(result.shape[:2], np.bool_)
            outside[-(MARK_HEIGHT + 20) :, -(MARK_WIDTH + 20) :] = False
            assert np.array_equal(result[outside], original[outside])
            assert np.abs(result.astype(int) - original)[~outside].mean() < 4


def test_a_logo_is_found_in_the_one_picture_of_a_job(settings: Settings, worker_on: WorkerOn) -> None:
    with catalogue_in(settings) as catalogue:
        worker, mark = worker_on(settings), disc(60)
        scene = Scene(mark, 0.4, (1, 1), margin=10, sizes=((260, 200),))
        shown, original, alpha = marked(scene, np.random.default_rng(0))
        pixels = np.dstack((mark.colour, 255 * mark.coverage)).round().astype(np.uint8)
        (file,) = uploaded(catalogue, [png(pixels)])
        job = job_with(catalogue, [png(shown)], AutoMask(mode="auto", logo_upload_id=file))
        (template,) = list_templates(catalogue.database, catalogue.tenant_id, limit=5, after=None, job_id=job.id)
        make_template(template.id, worker)
        template = now(catalogue, template)
        # A person looks at it: nothing but this picture speaks for it.
        assert (template.state, template.error_detail) == (TemplateState.NEEDS_REVIEW, None)
        assert {"mask", "before-1", "after-1"} <= set(template.previews)
        approve_job(catalogue.database, catalogue.tenant_id, job.id)
        run_shard(catalogue.ids(job), worker)
        (image,) = catalogue.images(job)
        assert (image.state, image.error_detail) == (ImageState.SUCCEEDED, None)
        result = pixels_of(catalogue.blobs.get(image.result_key or ""))
        left, there = (np.abs(one.astype(int) - original)[alpha > 0.02].mean() for one in (result, shown))
        assert left < there / 5


def test_a_mark_that_is_painted_over_in_one_picture_is_found_in_the_others(
    catalogue: Catalogue, worker_on: WorkerOn
) -> None:
    worker = worker_on(catalogue.settings)
    pictures = [marked for marked, _ in marked_pictures(4)]
    mask = np.zeros(pictures[0].shape[:2], np.uint8)
    mask[-MARK_HEIGHT - 8 :, -MARK_WIDTH - 12 :] = 255
    files = uploaded(catalogue, [png(pictures[0]), png(mask), png(mask[1:])])

    def made(mask_upload: str) -> Template:
        painted = {"upload_id": files[0], "mask_upload_id": mask_upload}
        template = wanted(catalogue, TemplateKind.ESTIMATE, [png(one) for one in pictures[1:]], painted=painted)
        make_template(template.id, worker)
        return now(catalogue, template)

    found, refused = made(files[1]), made(files[2])
    assert (found.state, found.error_detail, found.samples) == (TemplateState.NEEDS_REVIEW, None, 4)
    assert (refused.state, refused.error_code) == (TemplateState.FAILED, "mask_size_mismatch")


def test_two_marks_of_a_job_become_two_templates_and_each_picture_loses_its_own(
    settings: Settings, worker_on: WorkerOn
) -> None:
    rng = np.random.default_rng(6)
    scenes = [
        Scene(text(110, "SHOP"), 0.4, (1, 1), margin=8, sizes=((200, 150),)),
        Scene(text(100, "DEMO"), 0.5, (0, 0), margin=8, sizes=((200, 150),)),
    ]
    made = [marked(scene, rng) for _ in range(26) for scene in scenes]
    with catalogue_in(settings) as catalogue:
        worker = worker_on(settings)
        job = job_with(catalogue, [png(shown) for shown, _, _ in made], AutoMask(mode="auto", approve="person"))
        (asked,) = list_templates(catalogue.database, catalogue.tenant_id, limit=5, after=None, job_id=job.id)
        make_template(asked.id, worker)
        found = list_templates(catalogue.database, catalogue.tenant_id, limit=5, after=None, job_id=job.id)
        assert {template.id: template.found_with_id for template in found} == {
            asked.id: None,
            f"{asked.id}-2": asked.id,
        }
        assert [template.samples for template in found] == [26, 26]
        review = catalogue.job(job).review
        assert review is not None
        assert review.templates == [asked.id, f"{asked.id}-2"]
        approve_job(catalogue.database, catalogue.tenant_id, job.id)
        run_shard(catalogue.ids(job), worker)
        for (shown, original, alpha), image in zip(made, catalogue.images(job), strict=True):
            assert (image.state, image.record.marks) == (ImageState.SUCCEEDED, 1)
            result = pixels_of(catalogue.blobs.get(image.result_key or ""))
            left, there = (np.abs(one.astype(int) - original)[alpha > 0.02].mean() for one in (result, shown))
            assert left < there / 5


def test_pictures_that_share_nothing_are_refused_and_their_job_says_so(
    catalogue: Catalogue, worker_on: WorkerOn
) -> None:
    job = job_with(catalogue, [png(picture(seed)) for seed in range(3)], AutoMask(mode="auto"))
    (template,) = list_templates(catalogue.database, catalogue.tenant_id, limit=5, after=None, job_id=job.id)
    make_template(template.id, worker_on(catalogue.settings))
    held = catalogue.job(job)
    assert held.state is JobState.NEEDS_REVIEW
    assert held.review is not None
    assert held.review.error is not None
    assert held.review.error.code == "samples_too_few"
    assert (held.review.error.needed or 0) > 0


def test_a_stopping_worker_gives_the_template_back(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    drain = Drain()
    drain.begin()
    template = wanted(catalogue, TemplateKind.ESTIMATE, [png(marked) for marked, _ in marked_pictures(6)])
    make_template(template.id, worker_on(catalogue.settings, drain=drain))
    assert (now(catalogue, template).state, now(catalogue, template).attempt) == (TemplateState.ESTIMATING, 0)
    _, leased = lease_template(catalogue.database, template.id, lease_s=5)
    assert leased is not None


def test_a_message_that_comes_twice_changes_nothing(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    worker = worker_on(catalogue.settings)
    template = wanted(catalogue, TemplateKind.LOGO, [logo()], place=PLACE)
    make_template(template.id, worker)
    before = now(catalogue, template)
    make_template(template.id, worker)
    assert now(catalogue, template) == before


def test_an_estimate_outlasts_an_outage_of_the_ledger_that_is_longer_than_its_lease(
    server_settings: Settings, postgres_server: PostgresServer, worker_on: WorkerOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = server_settings.model_copy(update={"lease_s": 1.0, "heartbeat_s": 0.2})
    begun, away = threading.Event(), threading.Event()
    note_progress = Lease.note_progress

    def held(lease: Lease[Any], held_id: str, progress: Any) -> None:
        note_progress(lease, held_id, progress)
        begun.set()
        away.wait(120)

    monkeypatch.setattr(Lease, "note_progress", held)
    with catalogue_in(settings) as catalogue:
        template = wanted(catalogue, TemplateKind.ESTIMATE, [png(marked) for marked, _ in marked_pictures(30)])
        making = threading.Thread(target=make_template, args=(template.id, worker_on(settings)))
        making.start()
        assert begun.wait(120), "the estimate did not begin"
        postgres_server.kill()
        away.set()
        back_at = time.monotonic() + 3 * settings.lease_s
        until(lambda: time.monotonic() > back_at, "time stands still")
        postgres_server.start()
        making.join()
        ended = now(catalogue, template)
        assert (ended.state, ended.attempt, ended.error_code) == (TemplateState.NEEDS_REVIEW, 1, None)
