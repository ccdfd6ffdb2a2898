"""The client for programs on an event loop: each call of :class:`Client` runs in a thread and is awaited.

::

    async with AsyncClient("http://127.0.0.1:8787", key) as client:
        job = await client.submit([Path("a.jpg")], masks=Path("mask.png"), rights=rights)
        await client.wait(job.id)
        await client.download_job(job.id, Path("clean"))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from cleanplate.client.http import WHOLE_BYTES, Client
from cleanplate.client.retries import Retries

Given = ParamSpec("Given")
Result = TypeVar("Result")
Item = TypeVar("Item")

#: Marks the end of an iterator; StopIteration cannot leave a thread.
_END: Any = object()


def _awaited(
    call: Callable[Concatenate[Client, Given], Result],
) -> Callable[Concatenate[AsyncClient, Given], Coroutine[Any, Any, Result]]:
    """The method of the client as a coroutine. A cancelled call ends by itself, and its result is dropped."""

    async def method(self: AsyncClient, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        return await asyncio.to_thread(call, self.client, *args, **kwargs)

    method.__doc__ = call.__doc__
    method.__name__ = call.__name__
    return method


def _iterated(
    call: Callable[Concatenate[Client, Given], Iterator[Item]],
) -> Callable[Concatenate[AsyncClient, Given], AsyncIterator[Item]]:
    """The method of the client as an asynchronous iterator."""

    async def method(self: AsyncClient, /, *args: Given.args, **kwargs: Given.kwargs) -> AsyncIterator[Item]:
        iterator = await asyncio.to_thread(call, self.client, *args, **kwargs)
        while (item := await asyncio.to_thread(next, iterator, _END)) is not _END:
            yield item

    method.__doc__ = call.__doc__
    method.__name__ = call.__name__
    return method


class AsyncClient:
    """A connection to one service with one key, for one event loop or several; see :class:`Client`.

    ``client`` is the client whose calls are awaited; templates and webhooks are reached by it, in a thread.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        transfers: int = 4,
        whole_bytes: int = WHOLE_BYTES,
        retries: Retries | None = None,
        patience_s: float = 600.0,
        http: httpx.Client | None = None,
    ) -> None:
        self.client = Client(
            url,
            api_key,
            transfers=transfers,
            whole_bytes=whole_bytes,
            retries=retries,
            patience_s=patience_s,
            http=http,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.client.close()

    submit = _awaited(Client.submit)
    submit_manifest = _awaited(Client.submit_manifest)
    submit_folder = _awaited(Client.submit_folder)
    dry_run = _awaited(Client.dry_run)
    upload = _awaited(Client.upload)
    delete_upload = _awaited(Client.delete_upload)
    view_upload = _awaited(Client.view_upload)
    job = _awaited(Client.job)
    handle = _awaited(Client.handle)
    jobs = _iterated(Client.jobs)
    describe = _awaited(Client.describe)
    cancel = _awaited(Client.cancel)
    retry = _awaited(Client.retry)
    delete = _awaited(Client.delete)
    approve = _awaited(Client.approve)
    pause = _awaited(Client.pause)
    resume = _awaited(Client.resume)
    pause_state = _awaited(Client.pause_state)
    pause_all = _awaited(Client.pause_all)
    resume_all = _awaited(Client.resume_all)
    images = _iterated(Client.images)
    find_images = _iterated(Client.find_images)
    image = _awaited(Client.image)
    review = _awaited(Client.review)
    review_images = _awaited(Client.review_images)
    redo = _awaited(Client.redo)
    results = _iterated(Client.results)
    errors = _iterated(Client.errors)
    skipped = _iterated(Client.skipped)
    overview = _awaited(Client.overview)
    archive = _awaited(Client.archive)
    download = _awaited(Client.download)
    download_all = _awaited(Client.download_all)
    download_source = _awaited(Client.download_source)
    view = _awaited(Client.view)
    preview = _awaited(Client.preview)
    readiness = _awaited(Client.readiness)
    devices = _awaited(Client.devices)
    usage = _awaited(Client.usage)
    usage_csv = _awaited(Client.usage_csv)
    wait = _awaited(Client.wait)
    events = _iterated(Client.events)
    all_events = _iterated(Client.all_events)

    async def download_job(self, job_id: str, folder: Path) -> dict[str, Path]:
        """Fetch all results of a job into ``folder``, once it has ended; the files by image id."""
        job = await self.handle(job_id)
        return await asyncio.to_thread(job.download, folder)
