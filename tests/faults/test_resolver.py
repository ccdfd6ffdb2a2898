"""A name server that hangs or fails: what needs no name goes on, and what needs one is done when it answers again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanplate.base.masks import FileMask
from cleanplate.base.settings import Settings
from storage.ledger.jobs.submission import submit_job
from storage.ledger.tenants.uploads import create_uploads
from storage.records import JobState, NewImage, NewJob
from tests.catalogue import bar_mask, picture, png
from tests.faults.conftest import Service, started
from tests.faults.resolver import Answer, Resolver, resolver_in
from tests.faults.s3_proxy import S3Proxy
from tests.running import until
from tests.shop import RIGHTS
from tests.webhook_receiver import Reply, receiver_running


@pytest.fixture
def resolver(tmp_path: Path) -> Iterator[Resolver]:
    folder = tmp_path / "resolver"
    folder.mkdir()
    with resolver_in(folder) as resolver:
        yield resolver


@pytest.fixture
def service(resolver: Resolver, embedded_settings: Settings, tmp_path: Path) -> Iterator[Service]:
    logs = tmp_path / "logs"
    logs.mkdir()
    with started(embedded_settings, logs, S3Proxy()) as service:
        yield service


def named(url: str, name: str) -> str:
    return url.replace("127.0.0.1", name)


def test_names_that_cannot_be_resolved_cost_no_image_and_no_event(service: Service, resolver: Resolver) -> None:
    catalogue = service.catalogue
    [mask] = create_uploads(catalogue.database, catalogue.tenant_id, [("mask.png", "image/png")], expires_in_s=3600)
    catalogue.blobs.put(mask.key, png(bar_mask()), content_type="image/png")
    with receiver_running() as source:
        source.replies = [Reply(200, body=png(picture()))]
        resolver.answer(Answer.HANGS)
        job = submit_job(
            catalogue.database,
            catalogue.tenant_id,
            NewJob(
                images=[NewImage(name="a.png", source_url=named(source.url, "pictures.test"))],
                mask=FileMask(upload_id=mask.id),
                rights=RIGHTS,
                webhook_endpoint_id=catalogue.endpoint(named(service.receiver.url, "hooks.test")),
            ),
        )
        other = service.submit_small(2)
        until(
            lambda: catalogue.job(other).state is JobState.COMPLETED,
            lambda: f"work that needs no name stopped: {service.attempts(other)}\n{service.worker.log[-3000:]}",
        )
        until(
            lambda: ("failed", "source_unavailable") in service.attempts(job),
            lambda: f"no attempt met the resolver: {service.attempts(job)}\n{service.worker.log[-3000:]}",
        )
        resolver.answer(Answer.FAILS)
        tried = len(service.attempts(job))
        until(lambda: len(service.attempts(job)) > tried, "the image was not tried again")
        assert source.received == []
        resolver.answer(Answer.ANSWERS)
        service.assert_done_once(job)
        service.assert_done_once(other)
