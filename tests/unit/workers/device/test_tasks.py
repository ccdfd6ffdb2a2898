"""A task goes on with the messages that follow its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from storage.records import Counts, Priority, TemplateKind, TemplateState
from tests.catalogue import Catalogue, bar_mask, picture, png
from tests.unit.workers.device.templates.test_templates import PLACE, logo, now, wanted
from workers.device import resources, tasks
from workers.device.drain import Drain
from workers.shared.queue import make_celery, prepare_queue, publish_shard, publish_template, waiting_messages


@pytest.fixture
def worker(catalogue: Catalogue) -> Iterator[Catalogue]:
    """A catalogue whose queue this process works on."""
    threads = torch.get_num_threads()
    settings = catalogue.settings.model_copy(update={"device": "cpu", "torch_threads": 1})
    prepare_queue(settings)
    resources.open_for_process(settings, Drain(), make_celery(settings))
    yield catalogue
    resources.close_for_process()
    torch.set_num_threads(threads)


def test_a_task_takes_shards_and_then_a_template(worker: Catalogue) -> None:
    first, second, third = (worker.submit([png(picture())], png(bar_mask())) for _ in range(3))
    template = wanted(worker, TemplateKind.LOGO, [logo()], place=PLACE)
    app = make_celery(worker.settings)
    publish_shard(app, worker.ids(second), Priority.BULK)
    publish_template(app, template.id, Priority.BULK)
    publish_shard(app, worker.ids(third), Priority.BULK)
    tasks.inpaint_shard(worker.ids(first))
    assert [worker.job(job).counts for job in (first, second, third)] == [
        Counts(succeeded=1),
        Counts(succeeded=1),
        Counts(queued=1),
    ]
    assert now(worker, template).state is TemplateState.READY
    assert waiting_messages(app) == 1
