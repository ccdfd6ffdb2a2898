"""Shards with coder processes: the same results, and the end of a picture that kills them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from cleanplate.base.masks import TemplateMask
from cleanplate.base.settings import Settings
from storage.records import ImageState, Job, TemplateKind, TemplateState
from storage.tables import images
from tests.catalogue import Catalogue, bar_mask, catalogue_in, picture, png
from tests.unit.workers.conftest import WorkerOn
from tests.unit.workers.device.images.test_residual_marks import OPACITY, along_an_edge, bar
from tests.unit.workers.device.templates.test_templates import job_with, now, wanted
from workers.device.coders.work import finish
from workers.device.images.pipeline import run_shard
from workers.device.resources import Resources
from workers.device.templates.pipeline import make_template
from workers.errors import CoderLost

MASK = png(bar_mask())


@pytest.fixture
def with_coders(embedded_settings: Settings, worker_on: WorkerOn) -> Iterator[Resources]:
    resources = worker_on(embedded_settings.model_copy(update={"coders": 2}))
    yield resources
    resources.stages.close()
    resources.coding.close()


class Deadly:
    """Coding in which the picture of a known width kills its coder at the end."""

    def __init__(self, coding: Any, width: int) -> None:
        self._coding, self._width = coding, width

    def run(self, work: Any, nbytes: int, *given: Any, **named: Any) -> Any:
        if work is finish and given[0].width == self._width:
            raise CoderLost("died")
        return self._coding.run(work, nbytes, *given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coding, name)


def try_again(catalogue: Catalogue, job: Job, resources: Resources) -> None:
    """The next attempt at all images that wait, without their pause."""
    with catalogue.database.write() as connection:
        connection.execute(
            update(images).where(images.c.state == "queued").values(available_at=catalogue.database.now())
        )
    run_shard(catalogue.ids(job), resources)


def test_results_are_those_of_the_process_itself(
    embedded_settings: Settings, worker_on: WorkerOn, with_coders: Resources
) -> None:
    with catalogue_in(embedded_settings) as catalogue:
        results, records = [], []
        for resources in (worker_on(embedded_settings), with_coders):
            job = catalogue.submit([png(picture(seed)) for seed in range(3)], MASK)
            run_shard(catalogue.ids(job), resources)
            ended = catalogue.images(job)
            results.append([catalogue.blobs.get(image.result_key or "") for image in ended])
            records.append([(image.state, image.record.method, image.record.masked_share) for image in ended])
        assert results[0] == results[1]
        assert records[0] == records[1]
        assert {state for state, *_ in records[1]} == {ImageState.SUCCEEDED}


def test_templates_are_made_and_removed_as_in_the_process_itself(
    embedded_settings: Settings, worker_on: WorkerOn, with_coders: Resources
) -> None:
    with catalogue_in(embedded_settings) as catalogue:
        results = []
        for resources in (worker_on(embedded_settings), with_coders):
            template = wanted(catalogue, TemplateKind.LOGO, [bar()], place={"anchor": "center", "opacity": OPACITY})
            make_template(template.id, resources)
            assert now(catalogue, template).state is TemplateState.READY
            for wish in ({"residual_mark": "flag"}, {"result": "mask"}):
                job = job_with(catalogue, [png(along_an_edge())], TemplateMask(template=template.id), **wish)
                run_shard(catalogue.ids(job), resources)
                (image,) = catalogue.images(job)
                assert image.state is ImageState.SUCCEEDED, image.error_detail
                results.append(catalogue.blobs.get(image.result_key or ""))
        assert results[:2] == results[2:]


def test_a_picture_that_kills_two_coders_fails_and_no_other(embedded_settings: Settings, worker_on: WorkerOn) -> None:
    settings = embedded_settings.model_copy(update={"max_attempts": 10})
    resources = worker_on(settings)
    vars(resources)["coding"] = Deadly(resources.coding, 120)
    with catalogue_in(settings) as catalogue:
        job = catalogue.submit([png(picture(0, 100, 120)), png(picture(1))], b'{"boxes": [[10, 10, 20, 20]]}')
        run_shard(catalogue.ids(job), resources)
        deadly, good = catalogue.images(job)
        assert (deadly.state, good.state) == (ImageState.QUEUED, ImageState.SUCCEEDED)
        try_again(catalogue, job, resources)
        deadly, good = catalogue.images(job)
        assert (deadly.state, deadly.error_code, deadly.attempt) == (ImageState.FAILED, "coder_lost", 2)
        assert catalogue.attempts(deadly) == [("failed", "coder_lost")] * 2
        assert good.attempt == 1
