"""Latencies of the API beside a crowd, against the same service idle, in one run.

``python -m bench.crowd [-o FOLDER]`` starts a Postgres and an API with a folder for its files. It measures submissions,
the status of a job and the health check, first alone and then while a second process holds event streams, slow uploads
and downloads of whole jobs open. Images of a job end meanwhile, so that each stream gets an event a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from bench.api import IMAGE, MASK, RIGHTS
from cleanplate.base.settings import Settings
from storage.blobs import open_blobs
from storage.blobs.base import Blobs
from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.jobs.reading import list_images
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from storage.migrate import migrate
from storage.records import ImageState, Outcome
from tests.running import running, until
from tests.servers import PostgresServer, free_port, start_server

STREAMS, UPLOADS, DOWNLOADS = 200, 50, 20
#: Bytes a second of one slow upload, and of one download.
UPLOAD_RATE, DOWNLOAD_RATE = 4 * 1024, 1 << 20
UPLOAD_BYTES = 4 << 20
#: The job that is downloaded.
RESULTS, RESULT_BYTES = 100, 200_000
#: Images of the followed job that end each quarter of a second.
PACE = 4


class Crowd:
    """Clients in one event loop, each of which begins anew when its answer ends."""

    def __init__(self, url: str, key: str, counts: dict[str, Any]) -> None:
        self._address = urlsplit(url)
        self._key = key
        #: Events, bytes of uploads and bytes of downloads so far; refusals.
        self._counts = counts

    async def hold(self, followed: str, ended: str, links: list[str]) -> None:
        """Hold all clients until the process ends."""
        await asyncio.gather(
            *(self._again(self._follow, f"/v1/jobs/{followed}/events") for _ in range(STREAMS)),
            *(self._again(self._upload, link) for link in links),
            *(self._again(self._download, f"/v1/jobs/{ended}/archive") for _ in range(DOWNLOADS)),
        )

    async def _again(self, call: Any, path: str) -> None:
        while True:
            try:
                await call(path)
            except (OSError, EOFError):
                self._add("broken", 1)
            await asyncio.sleep(0.2)

    async def _open(self, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        writer.write(f"{head}Host: {self._address.netloc}\r\nAuthorization: Bearer {self._key}\r\n\r\n".encode())
        await writer.drain()
        return reader, writer

    async def _follow(self, path: str) -> None:
        reader, writer = await self._open(f"GET {path} HTTP/1.1\r\n")
        await self._check(reader, b"200")
        self._add("streams", 1)
        while line := await reader.readline():
            if line.startswith(b"event: progress"):
                self._add("events", 1)
        self._add("streams", -1)
        writer.close()

    async def _upload(self, path: str) -> None:
        head = f"PUT {path} HTTP/1.1\r\nContent-Type: image/png\r\nContent-Length: {UPLOAD_BYTES}\r\n"
        reader, writer = await self._open(head)
        self._add("uploads", 1)
        for _ in range(0, UPLOAD_BYTES, UPLOAD_RATE):
            writer.write(b"x" * UPLOAD_RATE)
            await writer.drain()
            self._add("uploaded", UPLOAD_RATE)
            await asyncio.sleep(1)
        await self._check(reader, b"204")
        self._add("uploads", -1)
        writer.close()

    async def _download(self, path: str) -> None:
        reader, writer = await self._open(f"GET {path} HTTP/1.1\r\nConnection: close\r\n")
        await self._check(reader, b"200")
        self._add("downloads", 1)
        while piece := await reader.read(DOWNLOAD_RATE // 4):
            self._add("downloaded", len(piece))
            await asyncio.sleep(0.25)
        self._add("downloads", -1)
        self._add("archives", 1)
        writer.close()

    async def _check(self, reader: asyncio.StreamReader, status: bytes) -> None:
        if (await reader.readline()).split()[1:2] != [status]:
            self._add("refused", 1)
            raise EOFError

    def _add(self, name: str, count: int) -> None:
        self._counts[name].value += count


def hold_crowd(crowd: Crowd, followed: str, ended: str, links: list[str]) -> None:
    asyncio.run(crowd.hold(followed, ended, links))


NAMES = ("streams", "uploads", "downloads", "events", "uploaded", "downloaded", "archives", "refused", "broken")


@contextmanager
def crowd(url: str, key: str, followed: str, ended: str, links: list[str]) -> Iterator[dict[str, Synchronized[int]]]:
    """The crowd in a process of its own, which runs during the block; its counts."""
    context = multiprocessing.get_context("spawn")
    counts = {name: context.Value("q", 0, lock=False) for name in NAMES}
    everybody = Crowd(url, key, counts)
    process = context.Process(target=hold_crowd, args=(everybody, followed, ended, links), daemon=True)
    process.start()
    try:
        until(
            lambda: [counts[name].value for name in NAMES[:3]] == [STREAMS, UPLOADS, DOWNLOADS],
            lambda: f"not everybody is served: { {name: count.value for name, count in counts.items()} }",
        )
        yield counts
    finally:
        process.kill()
        process.join()


@contextmanager
def images_ending(database: Database, tenant: str, job_id: str) -> Iterator[None]:
    """End some images of a job each quarter of a second."""
    stopped = threading.Event()

    def end() -> None:
        after: int | None = None
        while not stopped.wait(0.25):
            page = list_images(database, tenant, job_id, limit=PACE, after=after)
            after = page[-1].position
            token, leased = lease_images(database, [image.id for image in page], worker="bench", lease_s=60)
            outcomes = [Outcome(image_id=image.id, state=ImageState.SKIPPED) for image in leased]
            finish_images(database, token, outcomes, max_attempts=3)

    thread = threading.Thread(target=end)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def latencies(client: httpx.Client, job_id: str, seconds: float, callers: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each kind of request, asked in turns by ``callers`` threads."""
    asked = {
        "submit": lambda: client.post("/v1/jobs", json={**RIGHTS, "images": [IMAGE], "mask": MASK}),
        "status": lambda: client.get(f"/v1/jobs/{job_id}"),
        "health": lambda: client.get("/healthz"),
    }
    took: dict[str, list[float]] = {name: [] for name in asked}
    end = time.perf_counter() + seconds

    def call(_: int) -> None:
        while time.perf_counter() < end:
            for name, ask in asked.items():
                begun = time.perf_counter()
                ask().raise_for_status()
                took[name].append(1000 * (time.perf_counter() - begun))

    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(call, range(callers)))
    return {
        name: {"requests": len(ms), **{f"p{share}_ms": round(percentile(ms, share), 1) for share in (50, 99)}}
        for name, ms in took.items()
    }


def percentile(values: list[float], share: int) -> float:
    return sorted(values)[min(len(values) * share // 100, len(values) - 1)]


def ended_job(client: httpx.Client, database: Database, blobs: Blobs, tenant: str) -> str:
    """A job whose results are there to be downloaded."""
    body = {**RIGHTS, "images": [IMAGE] * RESULTS, "mask": MASK}
    job: str = client.post("/v1/jobs", json=body).raise_for_status().json()["id"]
    page = list_images(database, tenant, job, limit=RESULTS, after=None)
    token, leased = lease_images(database, [image.id for image in page], worker="bench", lease_s=600)
    outcomes = []
    for image in leased:
        key = f"t/{tenant}/jobs/{job}/results/{image.id}.png"
        blobs.put(key, os.urandom(RESULT_BYTES), content_type="image/png")
        outcomes.append(
            Outcome(image_id=image.id, state=ImageState.SUCCEEDED, result_key=key, result_bytes=RESULT_BYTES)
        )
    finish_images(database, token, outcomes, max_attempts=3)
    close_jobs(database)
    return job


def measure(url: str, seconds: float, callers: int) -> dict[str, Any]:
    """All figures, on the empty, migrated ledger at ``url``."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        settings = Settings(
            home=Path(folder), database_url=SecretStr(url), port=port, public_url=f"http://127.0.0.1:{port}",
            api_workers=1, api_streams=STREAMS + 10, api_downloads=DOWNLOADS, rate_limit_per_minute=0,
            log_level="warning",
        )  # fmt: skip
        database, blobs = Database.connect(settings.sqlalchemy_url), open_blobs(settings)
        tenant = ensure_tenant(database, "bench")
        key = create_key(database, tenant, "bench")[1]
        client = httpx.Client(base_url=settings.public_url, headers={"Authorization": f"Bearer {key}"}, timeout=120)
        with running("serve", settings=settings.environment(), log_path=Path(folder) / "api.log") as api, client:

            def answers() -> bool:
                try:
                    return client.get("/healthz").is_success
                except httpx.TransportError:
                    return False

            until(answers, lambda: f"the API does not answer: {api.log}")
            body = {**RIGHTS, "images": [IMAGE] * 20_000, "mask": MASK}
            followed = client.post("/v1/jobs", json=body).raise_for_status().json()["id"]
            ended = ended_job(client, database, blobs, tenant)
            files = [{"filename": f"{n}.png", "content_type": "image/png"} for n in range(UPLOADS)]
            slots = client.post("/v1/uploads", json={"files": files}).raise_for_status().json()["uploads"]
            links = [urlsplit(slot["url"]).path for slot in slots]
            with images_ending(database, tenant, followed):
                latencies(client, followed, 2, callers)
                idle = latencies(client, followed, seconds, callers)
                with crowd(settings.public_url, key, followed, ended, links) as counts:
                    before = {name: count.value for name, count in counts.items()}
                    crowded = latencies(client, followed, seconds, callers)
                    held = {name: count.value for name, count in counts.items()}
        database.close()
    moved = {name: held[name] - before[name] for name in NAMES[3:]}
    return {
        "cores": os.cpu_count(),
        "callers": callers,
        "seconds": seconds,
        "idle": idle,
        "crowded": crowded,
        "held_at_the_end": {name: held[name] for name in NAMES[:3]},
        "meanwhile": moved,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="of each of the two measurements")
    parser.add_argument("--callers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=Path("bench/results"))
    options = parser.parse_args()
    server = start_server(PostgresServer)
    try:
        server.make_template(migrate)
        result = measure(server.url(server.new_database()), options.seconds, options.callers)
    finally:
        server.close()
    options.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1)
    (options.output / "crowd.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
