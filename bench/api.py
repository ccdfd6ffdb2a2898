"""The job API under a catalogue's load, on Postgres, in one run: seconds, CPU seconds and memory of 100,000 rows.

``python -m bench.api [--database URL] [-o FOLDER]`` starts an API process of one worker on an empty, migrated ledger.
Without a URL it starts its own Postgres, as the tests do. It submits a manifest once with addresses and once with
uploads. While a ledger-only worker ends the images of that job, it submits single images and holds event streams open.
A row counts as queued from the transaction that answers, because the dispatcher can take it from then on.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.jobs.reading import list_images
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from storage.ledger.tenants.uploads import create_uploads
from storage.migrate import migrate
from storage.records import ImageState, Outcome
from tests.running import children, running, until
from tests.servers import PostgresServer, free_port, start_server

MASK = {"boxes": [[0.7, 0.9, 0.25, 0.07]], "units": "relative"}
RIGHTS = {"rights_basis": "owner", "attested_by": "bench", "rights_reference": "own photographs"}
IMAGE = {"url": "https://shop.example/pictures/shirt.jpg"}


class Service:
    """A running API with one worker process, and a client of its only tenant."""

    def __init__(self, url: str, database: Database, tenant: str) -> None:
        self.database = database
        self.tenant = tenant
        key = create_key(database, tenant, "bench")[1]
        limits = httpx.Limits(max_connections=300, max_keepalive_connections=300)
        self.client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=120, limits=limits)

    def submit_manifest(self, lines: list[dict[str, Any]]) -> tuple[float, dict[str, Any]]:
        """Submit ``lines`` as one manifest; the seconds until the answer, and the job."""
        file = io.BytesIO("\n".join(json.dumps(line) for line in lines).encode())
        begun = time.perf_counter()
        answer = self.client.post(
            "/v1/jobs/manifest",
            files={"manifest": ("catalogue.jsonl", file)},
            data={"job": json.dumps({**RIGHTS, "mask": MASK})},
        )
        seconds = time.perf_counter() - begun
        answer.raise_for_status()
        job: dict[str, Any] = answer.json()
        return seconds, job


def peak_mb(pid: int) -> float:
    """Peak resident memory of the largest child of a process, in MB (Linux)."""
    statuses = [Path(f"/proc/{child}/status").read_text() for child in children(pid)]
    return max(int(status.split("VmHWM:")[1].split()[0]) / 1024 for status in statuses)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process's children until now, all threads (Linux); they hardly depend on the load by others."""
    ticks = 0
    for child in children(pid):
        # The name before these fields may hold anything, but ends with the last bracket.
        fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def ledger_worker(service: Service, job_id: str) -> Iterator[list[int]]:
    """End a job's images as fast as the ledger allows, while the block runs.

    Yields a list whose only item is the number of ended images.
    """
    done, stopped = [0], threading.Event()

    def work() -> None:
        after: int | None = None
        while not stopped.is_set():
            page = list_images(service.database, service.tenant, job_id, limit=32, after=after)
            if not page:
                return
            after = page[-1].position
            token, leased = lease_images(service.database, [image.id for image in page], worker="bench", lease_s=60)
            ends = [Outcome(image_id=image.id, state=ImageState.SKIPPED) for image in leased]
            done[0] += len(finish_images(service.database, token, ends, max_attempts=3))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        stopped.set()
        thread.join()


def submit_single_images(service: Service, seconds: float, callers: int) -> list[float]:
    """Submit single-image jobs, one after the other in each of ``callers`` threads; the latencies in seconds."""
    end = time.perf_counter() + seconds

    def call(_: int) -> list[float]:
        took = []
        while (begun := time.perf_counter()) < end:
            body = {**RIGHTS, "images": [IMAGE], "mask": MASK}
            service.client.post("/v1/jobs", json=body).raise_for_status()
            took.append(time.perf_counter() - begun)
        return took

    with ThreadPoolExecutor(callers) as pool:
        return [one for took in pool.map(call, range(callers)) for one in took]


def hold_streams(service: Service, job_id: str, count: int, seconds: float) -> dict[str, Any]:
    """Hold ``count`` event streams of a running job open, and count the events of each."""
    firsts: list[float] = []
    events: list[int] = []
    opened = threading.Barrier(count + 1)

    def follow() -> None:
        begun, seen = time.perf_counter(), 0
        with service.client.stream("GET", f"/v1/jobs/{job_id}/events", timeout=60) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line.startswith("event: progress"):
                    seen += 1
                    if seen == 1:
                        firsts.append(time.perf_counter() - begun)
                        opened.wait(120)
                if seen and time.perf_counter() > stop[0]:
                    break
        events.append(seen)

    stop = [float("inf")]
    threads = [threading.Thread(target=follow) for _ in range(count)]
    for thread in threads:
        thread.start()
    opened.wait(120)
    stop[0] = time.perf_counter() + seconds
    for thread in threads:
        thread.join()
    return {
        "open_at_once": count,
        "first_event_s_median": round(statistics.median(firsts), 3),
        "first_event_s_max": round(max(firsts), 3),
        "events_each_median": statistics.median(events),
        "events_each_min": min(events),
        "held_s": seconds,
    }


def measure(url: str, rows: int, seconds: float, callers: int, open_streams: int) -> dict[str, Any]:
    """All figures, on the empty, migrated ledger at ``url``."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        settings = Settings(
            home=Path(folder), database_url=SecretStr(url), port=port, api_workers=1, api_streams=open_streams + 50,
            rate_limit_per_minute=0, log_level="warning",
        )  # fmt: skip
        database = Database.connect(settings.sqlalchemy_url)
        tenant = ensure_tenant(database, "bench")
        with running("serve", settings=settings.environment(), log_path=Path(folder) / "api.log") as api:
            service = Service(f"http://127.0.0.1:{port}", database, tenant)

            def answers() -> bool:
                try:
                    return service.client.get("/healthz").is_success
                except httpx.TransportError:
                    return False

            until(answers, lambda: f"the API does not answer: {api.log}")
            before_mb, cpu_before_s = peak_mb(api.process.pid), cpu_s(api.process.pid)
            by_address = [{**IMAGE, "custom_id": f"sku-{n}", "options": {"output": "png"}} for n in range(rows)]
            address_s, _ = service.submit_manifest(by_address)
            address_mb, cpu_address_s = peak_mb(api.process.pid), cpu_s(api.process.pid) - cpu_before_s
            files = [(f"{n}.jpg", "image/jpeg") for n in range(1000)]
            uploads = [
                upload.id
                for _ in range(-(-rows // 1000))
                for upload in create_uploads(database, tenant, files, expires_in_s=3600)
            ][:rows]
            cpu_before_s = cpu_s(api.process.pid)
            upload_s, job = service.submit_manifest(
                [{"upload_id": upload, "custom_id": f"sku-{n}"} for n, upload in enumerate(uploads)]
            )
            cpu_upload_s = cpu_s(api.process.pid) - cpu_before_s
            queued = service.client.get(f"/v1/jobs/{job['id']}").json()["counts"]["queued"]
            upload_mb = peak_mb(api.process.pid)
            with ledger_worker(service, job["id"]) as done:
                begun = time.perf_counter()
                took = sorted(submit_single_images(service, seconds, callers))
                spent = time.perf_counter() - begun
                streamed = hold_streams(service, job["id"], open_streams, seconds)
                ended = done[0]
            result = {
                "rows": rows,
                "by_address_s": round(address_s, 2),
                "by_upload_s": round(upload_s, 2),
                "api_cpu_s": {"by_address": round(cpu_address_s, 2), "by_upload": round(cpu_upload_s, 2)},
                "queued": queued,
                "api_peak_mb": {
                    "before": round(before_mb), "by_address": round(address_mb), "by_upload": round(upload_mb)
                },
                "single_submits": {
                    "callers": callers,
                    "per_s": round(len(took) / spent, 1),
                    "median_ms": round(1000 * statistics.median(took), 1),
                    "p99_ms": round(1000 * took[int(len(took) * 0.99)], 1),
                    "images_ended_beside_it": ended,
                },
                "streams": streamed,
                "api_peak_mb_at_the_end": round(peak_mb(api.process.pid)),
                "cores": os.cpu_count(),
            }  # fmt: skip
            service.client.close()
        database.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--database", help="postgresql://… (empty, migrated); default: a Postgres that this script starts"
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("-o", "--output", type=Path, default=Path("bench/results"))
    options = parser.parse_args()
    sizes = (options.rows, options.seconds, options.callers, options.streams)
    if options.database:
        result = measure(options.database, *sizes)
    else:
        server = start_server(PostgresServer)
        try:
            server.make_template(migrate)
            result = measure(server.url(server.new_database()), *sizes)
        finally:
            server.close()
    options.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1)
    (options.output / "api.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
