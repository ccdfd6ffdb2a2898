"""A worker's time and memory by stage: jobs through the real pipeline, each in a new process.

    python -m bench.pipeline PHOTO [--kind catalogue-jpeg …] [--pictures N] [--s3] [--out pipeline.json]

Each job holds equal pictures made from the photo, in an embedded service in a temporary folder; with ``--s3``, blobs
lie on a real S3 server. One worker process runs the job, shard after shard. The script reports the seconds of each
stage from the images' records (``network`` is the time in the engine, which holds several pictures at once). It also
reports the idle share of the device, tiles per pass, pictures per second, and the peak memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.corpus.content import file_of
from bench.corpus.mark import letters
from cleanplate.base.masks import FileMask
from cleanplate.base.settings import Settings
from model.engine.inpainter import LaMaInpainter
from storage.blobs import S3Blobs, open_blobs
from storage.database import Database
from storage.ledger.jobs.reading import list_images, list_jobs
from storage.ledger.jobs.submission import submit_job
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.tenants.uploads import create_uploads
from storage.migrate import migrate
from storage.records import Image as StoredImage
from storage.records import NewImage, NewJob, Rights, RightsBasis
from tests.servers import S3Server, start_server
from workers.device.drain import Drain
from workers.device.images.pipeline import run_shard
from workers.device.resources import Resources

Answers = SimpleQueue["Figures"]
#: ``read_back``: the written file is decoded again and compared.
STAGES = ("fetch", "decode", "network", "encode", "read_back", "store")


@dataclass(frozen=True)
class Kind:
    """A job of ``count`` pictures of one size and format."""

    name: str
    count: int
    width: int
    height: int
    make: Callable[[Image.Image], bytes]


KINDS = (
    Kind("catalogue-jpeg", 12, 1200, 1600, lambda image: file_of(image, "JPEG", quality=88)),
    Kind("catalogue-png", 6, 1200, 1600, lambda image: file_of(image, "PNG")),
    Kind("catalogue-webp", 6, 1200, 1600, lambda image: file_of(image, "WEBP", quality=85)),
    Kind("catalogue-heic", 4, 1200, 1600, lambda image: file_of(image, "HEIF", quality=80)),
    Kind("100-megapixel-jpeg", 1, 10_000, 10_000, lambda image: file_of(image, "JPEG", quality=88)),
    Kind("30000-px-strip-jpeg", 1, 30_000, 800, lambda image: file_of(image, "JPEG", quality=88)),
)


@dataclass(frozen=True)
class Figures:
    """The cost of a job."""

    kind: str
    pictures: int
    state: str
    #: Mean seconds a picture, by stage.
    seconds: dict[str, float]
    #: Share of the time from the first lease to the last end in which the device was idle.
    device_idle: float
    tiles_per_pass: float
    pictures_per_second: float
    #: Peak resident memory in MB, and the peak before the job.
    peak_mb: float
    base_mb: float


def corner(width: int, height: int) -> bytes:
    """The mask of a logo in the lower right corner, a quarter of the shorter side wide."""
    mask = np.zeros((height, width), np.uint8)
    side = min(width, height) // 4
    mask[height - side // 2 - 8 : height - 8, width - side - 8 : width - 8] = np.where(
        letters(side, side // 2, "across") > 0, 255, 0
    )
    return file_of(Image.fromarray(mask), "PNG")


@contextmanager
def worker_with(source: bytes, mask: bytes, count: int, s3: Mapping[str, Any]) -> Iterator[tuple[Resources, list[str]]]:
    """A worker's resources, and the ids of ``count`` equal images in its queue; ``s3``: settings of an S3 store."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), device="cpu", **s3)
        migrate(settings.sqlalchemy_url)
        database, blobs = Database.connect(settings.sqlalchemy_url), open_blobs(settings)
        if isinstance(blobs, S3Blobs):
            blobs.ensure_bucket()
        tenant = ensure_tenant(database, "bench")
        files = [(f"{n}.img", "image/jpeg") for n in range(count)] + [("mask.png", "image/png")]
        uploads = create_uploads(database, tenant, files, expires_in_s=3600)
        for upload in uploads[:-1]:
            blobs.put(upload.key, source, content_type="image/jpeg")
        blobs.put(uploads[-1].key, mask, content_type="image/png")
        job = submit_job(
            database,
            tenant,
            NewJob(
                images=[NewImage(name=None, source_upload_id=up.id) for up in uploads[:-1]],
                mask=FileMask(upload_id=uploads[-1].id),
                rights=Rights(basis=RightsBasis.OWNER, attested_by="bench", reference="own photographs"),
            ),
        )
        ids = [image.id for image in _all_images(database, tenant, job.id)]
        with LaMaInpainter(device="cpu") as inpainter:
            yield (
                Resources(
                    settings=settings,
                    database=database,
                    blobs=blobs,
                    inpainter=inpainter,
                    worker="bench",
                    drain=Drain(),
                ),
                ids,
            )
        database.close()


def _all_images(database: Database, tenant: str, job: str) -> list[StoredImage]:
    images: list[StoredImage] = []
    while page := list_images(database, tenant, job, limit=1000, after=images[-1].position if images else None):
        images += page
    return images


def run_all(worker: Resources, ids: list[str], on_shard: Callable[[int], None] = lambda _: None) -> None:
    """Run shard after shard, as the queue delivers them; ``on_shard`` gets the number of images so far."""
    size = worker.settings.shard_size
    for start in range(0, len(ids), size):
        run_shard(ids[start : start + size], worker)
        on_shard(min(start + size, len(ids)))


def measure(kind: Kind, source: bytes, mask: bytes, s3: Mapping[str, Any]) -> Figures:
    """Run one job in this process."""
    with worker_with(source, mask, kind.count, s3) as (worker, ids):
        base = peak_mb()
        before, begun = worker.inpainter.engine.load, time.perf_counter()
        run_all(worker, ids)
        took = time.perf_counter() - begun
        after = worker.inpainter.engine.load
        tenant = ensure_tenant(worker.database, "bench")
        [job] = list_jobs(worker.database, tenant, limit=1, after=None)
        images = _all_images(worker.database, tenant, job.id)
    done = [image.record.seconds for image in images if image.record.seconds]
    return Figures(
        kind=kind.name,
        pictures=kind.count,
        state=", ".join(sorted({str(image.error_code or image.state) for image in images})),
        seconds={stage: round(float(np.mean([record[stage] for record in done])), 4) for stage in STAGES if done},
        device_idle=round((after.idle_s - before.idle_s) / took, 4),
        tiles_per_pass=round((after.tiles - before.tiles) / max(after.passes - before.passes, 1), 2),
        pictures_per_second=round(kind.count / took, 3),
        peak_mb=peak_mb(),
        base_mb=base,
    )


def peak_mb() -> float:
    """Peak resident memory of this process so far, in MB (Linux; the parent's peak does not count)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1000, 1)


def _in_process(kind: tuple[str, int], source: bytes, mask: bytes, s3: Mapping[str, Any], out: Answers) -> None:
    # A ``Kind`` holds a function and cannot be pickled, so its name is sent.
    chosen = next(known for known in KINDS if known.name == kind[0])
    out.put(measure(replace(chosen, count=kind[1]), source, mask, s3))


@contextmanager
def s3_settings(wanted: bool) -> Iterator[dict[str, Any]]:
    """Settings of a running S3 server, or none."""
    if not wanted:
        yield {}
        return
    server = start_server(S3Server)
    try:
        yield {
            "blobs_url": "s3://bench",
            "s3_endpoint_url": server.endpoint_url,
            "s3_access_key_id": server.access_key_id,
            "s3_secret_access_key": server.secret_access_key,
        }
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument(
        "--kind", action="append", choices=[kind.name for kind in KINDS], help="run only this kind (repeatable)"
    )
    parser.add_argument("--pictures", type=int, help="pictures in each job (default: its kind's number)")
    parser.add_argument("--s3", action="store_true", help="store pictures on a real S3 server")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    results: list[Figures] = []
    with s3_settings(options.s3) as s3:
        for kind in KINDS:
            if options.kind and kind.name not in options.kind:
                continue
            with Image.open(options.photo) as photo:
                source = kind.make(photo.convert("RGB").resize((kind.width, kind.height), Image.Resampling.BICUBIC))
            answers: Answers = context.SimpleQueue()
            mask = corner(kind.width, kind.height)
            count = options.pictures or kind.count
            process = context.Process(target=_in_process, args=((kind.name, count), source, mask, s3, answers))
            process.start()
            results.append(answers.get())
            process.join()
    report(results)
    if options.out:
        options.out.write_text(json.dumps([asdict(figures) for figures in results], indent=1) + "\n")


def report(results: list[Figures]) -> None:
    """Print one line for each job."""
    headings = (f"{stage} s" for stage in STAGES)
    table = Table(
        "job", "pictures", "ended", *headings, "device idle", "tiles/pass", "pictures/s", "peak MB", "of it before"
    )
    for figures in results:
        table.add_row(
            figures.kind, str(figures.pictures), figures.state,
            *(f"{figures.seconds.get(stage, float('nan')):.3f}" for stage in STAGES),
            f"{figures.device_idle:.1%}", f"{figures.tiles_per_pass:.2f}", f"{figures.pictures_per_second:.2f}",
            f"{figures.peak_mb:.0f}", f"{figures.base_mb:.0f}",
        )  # fmt: skip
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
