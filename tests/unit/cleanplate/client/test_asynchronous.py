"""The client on an event loop: every method of the client is there, and several calls run at once."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cleanplate import AsyncClient, Client, Rights
from cleanplate.base.settings import Settings
from cleanplate.errors import Refused
from tests.api_process import served
from tests.unit.cleanplate.live import Shop, on_a_port, pictures

RIGHTS = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")


def test_every_method_of_the_client_is_there() -> None:
    methods = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    assert methods - {"close"} - set(vars(AsyncClient)) == set()


def test_jobs_are_submitted_followed_and_fetched_on_a_loop(embedded_settings: Settings, tmp_path: Path) -> None:
    shop = Shop(on_a_port(embedded_settings))
    files = pictures(tmp_path / "in", "a.png", "b.png")

    async def clean() -> None:
        async with AsyncClient(shop.settings.public_url, shop.key) as client:
            first, second = await asyncio.gather(
                *(client.submit([file], masks=file, rights=RIGHTS, name=file.name) for file in files)
            )
            waiting = asyncio.create_task(client.wait(first.id))
            following = asyncio.create_task(_states(client, second.id))
            for job in (first, second):
                await asyncio.to_thread(shop.work, job.id)
            assert (await waiting).state == "completed"
            assert (await following)[-1] == "completed"
            assert [job.name async for job in client.jobs(order="oldest")] in (["a.png", "b.png"], ["b.png", "a.png"])
            fetched = await client.download_job(first.id, tmp_path / "out")
            assert [path.read_bytes() != b"" for path in fetched.values()] == [True]
            with pytest.raises(Refused):
                await client.job("job_0")

    try:
        # A thread of its own: a browser of other tests may hold this thread's loop.
        with served(shop.settings, tmp_path / "log"), ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, clean()).result()
    finally:
        shop.close()


async def _states(client: AsyncClient, job_id: str) -> list[str]:
    return [answer.state async for answer in client.events(job_id)]
