"""Where a worker's time and memory go, stage by stage: jobs through the real pipeline, each in a process of its own.

    python -m bench.pipeline PHOTO [--kind catalogue-jpeg …] [--out pipeline.json]

A job of equal pictures is made from the photo on an embedded service in a temporary folder; one worker process runs
it. Reported are the seconds of each stage as the images' records state them, the share of the time outside the network,
pictures per second of the whole shard (stages overlap), and the process's peak memory.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.corpus.content import file_of
from bench.fidelity import mark
from cleanplate.settings import Settings
from model.inpainter import LaMaInpainter
from storage.blobs import open_blobs
from storage.database import Database
from storage.ledger.jobs import create_uploads, list_images, submit_job
from storage.ledger.tenants import ensure_tenant
from storage.migrate import migrate
from storage.records import NewImage, NewJob, Rights, RightsBasis
from workers.drain import Drain
from workers.pipeline import run_shard
from workers.resources import Resources

STAGES = ("fetch", "decode", "network", "encode", "store")


@dataclass(frozen=True)
class Kind:
    """A job: so many pictures of one size and format."""

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
    """What a job cost."""

    kind: str
    pictures: int
    state: str
    #: Mean seconds a picture, by stage.
    seconds: dict[str, float]
    #: Share of the stages' sum that is not the network's.
    outside_network: float
    pictures_per_second: float
    #: Resident memory at its highest, in MB, and before the job.
    peak_mb: float
    base_mb: float


def corner(width: int, height: int) -> bytes:
    """The mask of a logo in the lower right corner, a quarter of the shorter side wide."""
    mask = np.zeros((height, width), np.uint8)
    side = min(width, height) // 4
    with Image.open(io.BytesIO(mark(side, side // 2))) as logo:
        mask[height - side // 2 - 8 : height - 8, width - side - 8 : width - 8] = np.asarray(logo)
    return file_of(Image.fromarray(mask), "PNG")


def measure(kind: Kind, source: bytes, mask: bytes) -> Figures:
    """Run one job in this process."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), device="cpu")
        migrate(settings.sqlalchemy_url)
        database, blobs = Database.connect(settings.sqlalchemy_url), open_blobs(settings)
        tenant = ensure_tenant(database, "bench")
        files = [(f"{n}.img", "image/jpeg") for n in range(kind.count)] + [("mask.png", "image/png")]
        uploads = create_uploads(database, tenant, files, expires_in_s=3600)
        for upload in uploads[:-1]:
            blobs.put(upload.key, source, content_type="image/jpeg")
        blobs.put(uploads[-1].key, mask, content_type="image/png")
        job = submit_job(
            database,
            tenant,
            NewJob(
                images=[NewImage(name=None, source_upload_id=up.id, mask_upload_id=None) for up in uploads[:-1]],
                mask_upload_id=uploads[-1].id,
                options={},
                rights=Rights(basis=RightsBasis.OWNER, attested_by="bench", reference="own photographs"),
            ),
        )
        ids = [image.id for image in list_images(database, tenant, job.id, limit=1000, after=None)]
        with LaMaInpainter(device="cpu") as inpainter:
            worker = Resources(
                settings=settings, database=database, blobs=blobs, inpainter=inpainter, worker="bench", drain=Drain()
            )
            base = peak_mb()
            begun = time.perf_counter()
            run_shard(ids, worker)
            took = time.perf_counter() - begun
        images = list_images(database, tenant, job.id, limit=1000, after=None)
        database.close()
    done = [image.record["seconds"] for image in images if image.record]
    seconds = {stage: round(float(np.mean([record[stage] for record in done])), 4) for stage in STAGES} if done else {}
    total = sum(seconds.values())
    share = 1 - seconds["network"] / total if done else float("nan")
    states = ", ".join(sorted({str(image.error_code or image.state) for image in images}))
    return Figures(
        kind.name, kind.count, states, seconds, round(share, 3), round(kind.count / took, 3), peak_mb(), base
    )


def peak_mb() -> float:
    """Resident memory of this process at its highest so far, in MB (Linux; what it inherited does not count)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1000, 1)


def _in_process(name: str, source: bytes, mask: bytes, answers: SimpleQueue[Figures]) -> None:
    answers.put(measure(next(kind for kind in KINDS if kind.name == name), source, mask))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--kind", action="append", choices=[kind.name for kind in KINDS], help="only these")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    found: list[Figures] = []
    for kind in KINDS:
        if options.kind and kind.name not in options.kind:
            continue
        with Image.open(options.photo) as photo:
            source = kind.make(photo.convert("RGB").resize((kind.width, kind.height), Image.Resampling.BICUBIC))
        answers: SimpleQueue[Figures] = context.SimpleQueue()
        mask = corner(kind.width, kind.height)
        process = context.Process(target=_in_process, args=(kind.name, source, mask, answers))
        process.start()
        found.append(answers.get())
        process.join()
    report(found)
    if options.out:
        options.out.write_text(json.dumps([asdict(figures) for figures in found], indent=1) + "\n")


def report(found: list[Figures]) -> None:
    """Print one line for each job."""
    headings = (f"{stage} s" for stage in STAGES)
    table = Table("job", "pictures", "ended", *headings, "outside network", "pictures/s", "peak MB", "of it before")
    for figures in found:
        table.add_row(
            figures.kind, str(figures.pictures), figures.state,
            *(f"{figures.seconds.get(stage, float('nan')):.3f}" for stage in STAGES),
            f"{figures.outside_network:.0%}", f"{figures.pictures_per_second:.2f}", f"{figures.peak_mb:.0f}",
            f"{figures.base_mb:.0f}",
        )  # fmt: skip
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
