"""Pictures by address whose servers stall, or whose worker is killed while they arrive: each still ends once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

from cleanplate.base.masks import FileMask
from storage.ledger.jobs.submission import submit_job
from storage.ledger.tenants.uploads import create_uploads
from storage.records import Job, NewImage, NewJob
from tests.catalogue import bar_mask, picture, png
from tests.faults.conftest import Service
from tests.faults.test_killed_processes import kill_worker_child
from tests.running import until
from tests.shop import RIGHTS
from tests.webhook_receiver import Receiver, Reply, receiver_running

PICTURE = png(picture())


def half_then(wait: threading.Event) -> Reply:
    """Half of the picture, and then nothing until ``wait`` is set."""

    def write(send: Callable[[bytes], object]) -> None:
        send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(PICTURE) + PICTURE[: len(PICTURE) // 2])
        wait.wait(120)

    return Reply(write=write)


def whole() -> Reply:
    return Reply(200, body=PICTURE)


def submit(service: Service, sources: list[Receiver]) -> Job:
    """A job of one picture from each of ``sources``."""
    catalogue = service.catalogue
    (mask,) = create_uploads(catalogue.database, catalogue.tenant_id, [("mask.png", "image/png")], expires_in_s=3600)
    catalogue.blobs.put(mask.key, png(bar_mask()), content_type="image/png")
    return submit_job(
        catalogue.database,
        catalogue.tenant_id,
        NewJob(
            images=[NewImage(name=f"{number}.png", source_url=source.url) for number, source in enumerate(sources)],
            mask=FileMask(upload_id=mask.id),
            rights=RIGHTS,
            webhook_endpoint_id=catalogue.endpoint(service.receiver.url),
        ),
    )


def test_worker_killed_while_a_picture_arrives_costs_no_image(on_servers: Service) -> None:
    with receiver_running() as source:
        over = threading.Event()
        source.replies = [half_then(over), whole()]
        job = submit(on_servers, [source])
        until(lambda: len(source.received) == 1, "nothing was fetched")
        kill_worker_child(on_servers)
        on_servers.assert_done_once(job)
        over.set()
        assert len(source.received) == 2
    assert on_servers.attempts(job) == [("lost", "worker_lost"), ("succeeded", None)]


def test_servers_that_stall_cost_their_images_an_attempt_and_no_other_image_anything(on_servers: Service) -> None:
    with ExitStack() as running:
        stalling, good = (running.enter_context(receiver_running()) for _ in range(2))
        over = threading.Event()
        running.callback(over.set)
        stalling.replies = [half_then(over), whole()]
        good.replies = [whole()]
        job = submit(on_servers, [stalling, good])
        on_servers.assert_done_once(job)
        assert (len(stalling.received), len(good.received)) == (2, 1)
    slow, quick = on_servers.catalogue.images(job)
    assert [code for _, code in on_servers.catalogue.attempts(slow)] == ["source_unavailable", None]
    assert on_servers.catalogue.attempts(quick) == [("succeeded", None)]
