"""A worker follows the masks, options and sources of a job or of an image."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save_file
from structlog.testing import capture_logs

from cleanplate.base.masks import BoxesMask
from cleanplate.base.options import ImageOptions, JobOptions
from cleanplate.base.settings import Settings
from cleanplate.base.weights import SHIPPED, path_of
from model.networks.weights import SHIPPED as SHIPPED_FILE
from model.repair.texture import IS_BUILT
from storage.ledger.jobs.submission import submit_job
from storage.ledger.tenants.uploads import create_uploads
from storage.records import ImageState, NewImage, NewJob
from tests.catalogue import HEIGHT, WIDTH, catalogue_in, picture, pixels_of, png
from tests.shop import RIGHTS
from tests.unit.workers.conftest import WorkerOn
from tests.webhook_receiver import Receiver, Reply
from workers.device.images.pipeline import run_shard


def test_an_image_by_address_with_boxes_of_its_own_is_repaired_there_alone(
    embedded_settings: Settings, worker_on: WorkerOn, receiver: Receiver
) -> None:
    source = picture()
    receiver.replies = [Reply(200, body=png(source))]
    settings = embedded_settings.model_copy(update={"source_allow_private": True})
    own = BoxesMask(boxes=[(0.0, 0.9, 0.2, 0.1)], units="relative")
    images = [
        NewImage(name="a.png", source_url=receiver.url, mask=own, options=ImageOptions(output="webp")),
        NewImage(name="b.png", source_url=receiver.url),
        NewImage(name="c.png", source_url=receiver.url, options=ImageOptions(ffc_lambda=0.0)),
    ]
    job_mask = BoxesMask(boxes=[(360, 460, 20, 20)], size=(400, 500), anchor="bottom_right")
    options = JobOptions(dilation_px=0, feather_px=0)
    with catalogue_in(settings) as catalogue:
        job = submit_job(
            catalogue.database,
            catalogue.tenant_id,
            NewJob(images=images, mask=job_mask, options=options, rights=RIGHTS),
        )
        resources = worker_on(settings)
        run_shard(catalogue.ids(job), resources)
        resources.networks.close()
        own_box, shared, local = catalogue.images(job)
        assert [image.state for image in (own_box, shared, local)] == [ImageState.SUCCEEDED] * 3
        assert own_box.content_type == "image/webp"
        fills = []
        for image in (shared, local):
            result = pixels_of(catalogue.blobs.get(image.result_key or ""))
            changed = np.argwhere((result != source).any(axis=-1))
            assert changed.min(axis=0).tolist() >= [HEIGHT - 40, WIDTH - 40]
            assert changed.max(axis=0).tolist() < [HEIGHT - 20, WIDTH - 20]
            fills.append(result)
        assert (fills[0] != fills[1]).any(), "the network's spectral paths made no difference"
        assert own_box.record.masked_share == pytest.approx(0.02, abs=0.002)


@pytest.mark.skipif(not IS_BUILT, reason="the extension is not built")
def test_texture_is_copied_into_fills_unless_an_image_says_none(
    embedded_settings: Settings, worker_on: WorkerOn
) -> None:
    source = np.random.default_rng(0).integers(60, 200, (96, 96, 3), np.uint8)
    with catalogue_in(embedded_settings) as catalogue:
        [upload] = create_uploads(catalogue.database, catalogue.tenant_id, [("a.png", "image/png")], expires_in_s=3600)
        catalogue.blobs.put(upload.key, png(source), content_type="image/png")
        images = [
            NewImage(name=None, source_upload_id=upload.id, options=ImageOptions(texture=amount))
            for amount in (None, 0.0)
        ]
        job = submit_job(
            catalogue.database,
            catalogue.tenant_id,
            NewJob(images=images, mask=BoxesMask(boxes=[(40, 40, 20, 4)]), rights=RIGHTS),
        )
        resources = worker_on(embedded_settings)
        run_shard(catalogue.ids(job), resources)
        resources.networks.close()
        copied, plain = catalogue.images(job)
        results = [pixels_of(catalogue.blobs.get(image.result_key or "")) for image in (copied, plain)]
    assert copied.record.textured is not None
    assert copied.record.textured > 0.9
    assert plain.record.textured is None
    assert (results[0] != results[1]).any()


def test_images_of_one_job_are_filled_by_the_networks_that_they_name(
    embedded_settings: Settings, worker_on: WorkerOn
) -> None:
    other = path_of(embedded_settings, "other")
    other.parent.mkdir(parents=True, exist_ok=True)
    with safe_open(SHIPPED_FILE, framework="pt") as shipped:
        # The same network with its weights a little off.
        tensors = {name: shipped.get_tensor(name) * 0.97 for name in shipped.keys()}  # noqa: SIM118
        save_file(tensors, other, metadata=shipped.metadata())
    mask = BoxesMask(boxes=[(40, 40, 20, 20)])
    options = [ImageOptions(), *(ImageOptions(model=name) for name in ("other", SHIPPED, "not-here"))]
    with catalogue_in(embedded_settings) as catalogue:
        uploads = create_uploads(
            catalogue.database, catalogue.tenant_id, [("a.png", "image/png")] * len(options), expires_in_s=3600
        )
        for upload in uploads:
            catalogue.blobs.put(upload.key, png(picture()), content_type="image/png")
        images = [
            NewImage(name=None, source_upload_id=upload.id, options=chosen)
            for upload, chosen in zip(uploads, options, strict=True)
        ]
        job = submit_job(
            catalogue.database,
            catalogue.tenant_id,
            NewJob(images=images, mask=mask, rights=RIGHTS),
        )
        resources = worker_on(embedded_settings)
        run_shard(catalogue.ids(job), resources)
        resources.networks.close()
        *filled, missing = catalogue.images(job)
        assert [image.state for image in filled] == [ImageState.SUCCEEDED] * 3
        own, off, named = (pixels_of(catalogue.blobs.get(image.result_key or "")) for image in filled)
        assert (own == named).all()
        changed = np.argwhere((own != off).any(axis=-1))
        assert len(changed), "the named network was not the one that filled the hole"
        assert changed.min() >= 30
        assert changed.max() < 70
        # Another worker may have it.
        assert missing.state is ImageState.QUEUED


def test_eight_values_of_ffc_lambda_need_one_network_and_give_eight_fills(
    embedded_settings: Settings, worker_on: WorkerOn
) -> None:
    values = [step / 7 for step in range(8)]
    # One of them by another name of the network that the worker holds.
    options = [ImageOptions(ffc_lambda=value, model=SHIPPED if value == values[3] else None) for value in values]
    with catalogue_in(embedded_settings) as catalogue:
        uploads = create_uploads(
            catalogue.database, catalogue.tenant_id, [("a.png", "image/png")] * len(values), expires_in_s=3600
        )
        for upload in uploads:
            catalogue.blobs.put(upload.key, png(picture()), content_type="image/png")
        images = [
            NewImage(name=None, source_upload_id=upload.id, options=chosen)
            for upload, chosen in zip(uploads, options, strict=True)
        ]
        mask = BoxesMask(boxes=[(40, 40, 20, 20)])
        job = submit_job(
            catalogue.database,
            catalogue.tenant_id,
            NewJob(images=images, mask=mask, rights=RIGHTS),
        )
        resources = worker_on(embedded_settings)
        with capture_logs() as lines:
            run_shard(catalogue.ids(job), resources)
            resources.networks.close()
        assert not [line for line in lines if line["event"] == "network.loaded"]
        filled = catalogue.images(job)
        assert [image.state for image in filled] == [ImageState.SUCCEEDED] * len(values)
        fills = {pixels_of(catalogue.blobs.get(image.result_key or "")).tobytes() for image in filled}
        assert len(fills) == len(values)


def test_an_address_that_is_not_allowed_fails_for_good(embedded_settings: Settings, worker_on: WorkerOn) -> None:
    with catalogue_in(embedded_settings) as catalogue:
        image = NewImage(name="a.png", source_url="https://127.0.0.1/a.png")
        mask = BoxesMask(boxes=[(0, 0, 5, 5)])
        job = submit_job(
            catalogue.database,
            catalogue.tenant_id,
            NewJob(images=[image], mask=mask, rights=RIGHTS),
        )
        run_shard(catalogue.ids(job), worker_on(embedded_settings))
        [failed] = catalogue.images(job)
        assert (failed.state, failed.error_code, failed.attempt) == (ImageState.FAILED, "url_not_allowed", 1)
