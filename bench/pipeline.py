"""A worker's time and memory by stage: jobs through the real pipeline, each in a new process.

    python -m bench.pipeline PHOTO [--kind catalogue-jpeg …] [--pictures N] [--s3] [--out pipeline.json]
    python -m bench.pipeline PHOTO --kind catalogue-jpeg --method fill --pictures 3000 --shard-size 16 --seconds 20 \\
        --device-rate 500 --device-rate 4000 --cores 1 --cores 2 2>/dev/null

Each job holds equal pictures made from the photo, in an embedded service in a temporary folder; with ``--s3``, blobs
lie on a real S3 server. One worker process runs the job, shard after shard. The script reports the seconds of each
stage from the images' records (``network`` is the time in the engine, which holds several pictures at once). It also
reports the idle share of the device, tiles per pass, pictures per second, and the peak memory.

The worker takes shards as one stream, as the queue delivers them; ``--apart`` runs each job once more, with a shard
leased only when the one before has ended. ``--coders`` runs it with each number of coder processes. After ``--seconds``
a job leases no further shard, and its figures are those of the pictures that have ended: each job takes about so long,
whatever the machine has to do beside it.

With ``--device-rate`` a simulated device of so many tiles/s takes the engine's place (bench/simulated_device.py), and
each job runs on each number of ``--cores`` (an affinity of the process). The report then has the device's idle share
beside the one that follows from the cores: a device that does R tiles/s and launches passes of k tiles in L seconds is
idle for 1 - C T / S (1 / R + L / k) of the time, where C cores work on pictures that cost S CPU-seconds and have T
tiles. ``cores had`` is the CPU time over the time: on a busy machine less than the cores that were allowed, and then
the formula takes what was had. Coders' CPU time counts.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.corpus.content import file_of
from bench.corpus.mark import letters
from bench.simulated_device import SimulatedInpainter
from cleanplate.base.masks import FileMask
from cleanplate.base.options import JobOptions
from cleanplate.base.processes import children_of
from cleanplate.base.settings import Settings
from cleanplate.telemetry import logs
from model.engine.inpainter import LaMaInpainter
from model.imaging import Limits, probe
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
from workers.device.images.pipeline import Shard, run_shard
from workers.device.resources import Resources

Answers = SimpleQueue["Figures"]
#: Seconds after ``--seconds`` in which the shards under way must have ended.
_LEEWAY_S = 300.0
#: Colour of the logo.
_INK = (200, 20, 30)
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
    #: Tiles/s of a simulated device, the time to launch a pass, the cores allowed, CPU-ms a picture of all threads, and
    #: CPU-seconds in a second.
    device_rate: float | None = None
    launch_ms: float = 0.0
    cores: int | None = None
    coders: int = 0
    #: Whether each shard began when the one before had ended.
    apart: bool = False
    cpu_ms: float = 0.0
    cores_had: float = 0.0
    tiles_per_picture: float = 0.0

    @property
    def expected_idle(self) -> float:
        """Idle share of the simulated device by the formula, from the cores that the process had."""
        if not self.device_rate or not self.cpu_ms:
            return float("nan")
        tiles_per_s = self.cores_had / (self.cpu_ms / 1000) * self.tiles_per_picture
        return max(0.0, 1 - tiles_per_s * (1 / self.device_rate + self.launch_ms / 1000 / max(self.tiles_per_pass, 1)))


@dataclass(frozen=True)
class Trial:
    """How a job is run: ``device_rate`` ``None`` with the network itself, on all cores."""

    count: int
    method: str = "auto"
    device: str = "cpu"
    device_rate: float | None = None
    launch_ms: float = 0.0
    cores: int | None = None
    apart: bool = False
    #: Seconds after which no further shard is leased.
    seconds: float = math.inf
    #: Settings of the worker beside the usual ones.
    settings: Mapping[str, Any] = field(default_factory=dict)


def corner(width: int, height: int) -> Image.Image:
    """An opaque logo in the lower right corner, a quarter of the shorter side wide: white letters, black elsewhere."""
    drawn = np.zeros((height, width), np.uint8)
    side = min(width, height) // 4
    drawn[height - side // 2 - 8 : height - 8, width - side - 8 : width - 8] = letters(side, side // 2, "across")
    return Image.fromarray(drawn)


def mask_of(drawn: Image.Image) -> bytes:
    """The mask of all pixels that ``drawn`` touches, as a file."""
    return file_of(drawn.point(lambda level: 255 if level else 0), "PNG")


@contextmanager
def worker_with(
    source: bytes,
    mask: bytes,
    count: int,
    further: Mapping[str, Any],
    *,
    method: str = "auto",
    open_inpainter: Callable[[], LaMaInpainter] = lambda: LaMaInpainter(device="cpu"),
) -> Iterator[tuple[Resources, list[str]]]:
    """A worker's resources, and the ids of ``count`` equal images in its queue; ``further``: settings."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), device="cpu", **further)
        migrate(settings.sqlalchemy_url)
        database, blobs = Database.connect(settings.sqlalchemy_url), open_blobs(settings)
        if isinstance(blobs, S3Blobs):
            blobs.ensure_bucket()
        tenant = ensure_tenant(database, "bench")
        files = [("picture.img", "image/jpeg"), ("mask.png", "image/png")]
        picture_upload, mask_upload = create_uploads(database, tenant, files, expires_in_s=3600)
        blobs.put(picture_upload.key, source, content_type="image/jpeg")
        blobs.put(mask_upload.key, mask, content_type="image/png")
        job = submit_job(
            database,
            tenant,
            NewJob(
                images=[NewImage(name=None, source_upload_id=picture_upload.id)] * count,
                mask=FileMask(upload_id=mask_upload.id),
                rights=Rights(basis=RightsBasis.OWNER, attested_by="bench", reference="own photographs"),
                options=JobOptions.model_validate({"method": method}),
            ),
        )
        ids = [image.id for image in _all_images(database, tenant, job.id)]
        with open_inpainter() as inpainter:
            worker = Resources(
                settings=settings,
                database=database,
                blobs=blobs,
                inpainter=inpainter,
                worker="bench",
                drain=Drain(),
            )
            try:
                yield worker, ids
            finally:
                worker.stages.close()
                worker.coding.close()
        database.close()


def _all_images(database: Database, tenant: str, job: str) -> list[StoredImage]:
    images: list[StoredImage] = []
    while page := list_images(database, tenant, job, limit=1000, after=images[-1].position if images else None):
        images += page
    return images


def run_all(
    worker: Resources,
    ids: list[str],
    on_shard: Callable[[int], None] = lambda _: None,
    *,
    apart: bool = False,
    seconds: float = math.inf,
) -> None:
    """Run all shards as one stream, as the queue delivers them; ``apart``: each when the one before has ended.

    ``on_shard`` gets the number of images of ended shards. After ``seconds`` no further shard is leased.
    """
    until = time.monotonic() + seconds
    size, ended = worker.settings.shard_size, 0

    def end(images: int) -> None:
        nonlocal ended
        ended += images
        on_shard(ended)

    parts = [ids[start : start + size] for start in range(0, len(ids), size)]
    shards = [Shard(part, functools.partial(end, len(part))) for part in parts]

    def next_shard() -> Shard | None:
        return shards.pop(0) if shards and time.monotonic() < until else None

    if not apart:
        run_shard([], worker, next_shard)
        return
    while (shard := next_shard()) is not None:
        run_shard(shard.image_ids, worker)
        shard.on_end()


def measure(kind: Kind, source: bytes, mask: bytes, trial: Trial) -> Figures:
    """Run one job in this process."""
    rate = trial.device_rate

    def open_inpainter() -> LaMaInpainter:
        return LaMaInpainter(device=trial.device) if rate is None else SimulatedInpainter(rate, trial.launch_ms)

    if trial.cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: trial.cores])
    with worker_with(source, mask, trial.count, trial.settings, method=trial.method, open_inpainter=open_inpainter) as (
        worker,
        ids,
    ):
        # The coders' start does not count.
        worker.coding.run(probe, len(source), source, Limits(len(source), kind.width * kind.height))
        base = peak_mb()
        before, begun, cpu_begun = worker.inpainter.engine.load, time.perf_counter(), cpu_seconds()
        run_all(worker, ids, apart=trial.apart, seconds=trial.seconds)
        took, cpu_s = time.perf_counter() - begun, cpu_seconds() - cpu_begun
        after = worker.inpainter.engine.load
        tenant = ensure_tenant(worker.database, "bench")
        [job] = list_jobs(worker.database, tenant, limit=1, after=None)
        images = [image for image in _all_images(worker.database, tenant, job.id) if image.finished_at is not None]
    done = [image.record.seconds for image in images if image.record.seconds]
    tiles = after.tiles - before.tiles
    return Figures(
        kind=kind.name,
        pictures=len(images),
        state=", ".join(sorted({str(image.error_code or image.state) for image in images})),
        seconds={stage: round(float(np.mean([record[stage] for record in done])), 4) for stage in STAGES if done},
        device_idle=round((after.idle_s - before.idle_s) / took, 4),
        tiles_per_pass=round(tiles / max(after.passes - before.passes, 1), 2),
        pictures_per_second=round(len(images) / took, 3),
        peak_mb=peak_mb(),
        base_mb=base,
        device_rate=rate,
        launch_ms=trial.launch_ms,
        cores=trial.cores,
        coders=worker.coding.coders,
        apart=trial.apart,
        cpu_ms=round(cpu_s / max(len(images), 1) * 1000, 1),
        cores_had=round(cpu_s / took, 3),
        tiles_per_picture=round(tiles / max(len(images), 1), 2),
    )


def cpu_seconds() -> float:
    """CPU time of this process and of all its living descendants, in seconds (Linux)."""
    spent, waiting = time.process_time(), children_of(os.getpid())
    while waiting:
        pid = waiting.pop()
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        waiting += children_of(pid)
    return spent


def peak_mb() -> float:
    """Peak resident memory of this process so far, in MB (Linux; the parent's peak does not count)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1000, 1)


def _in_process(kind: str, source: bytes, mask: bytes, trial: Trial, out: Answers) -> None:
    # As a worker logs, to the standard error.
    logs.configure(Settings())
    # A ``Kind`` holds a function and cannot be pickled, so its name is sent.
    out.put(measure(next(known for known in KINDS if known.name == kind), source, mask, trial))


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
    parser.add_argument(
        "--method", choices=["auto", "fill"], default="auto", help="of the repair, as in a job's options"
    )
    parser.add_argument("--device", default="cpu", help="of the network: cpu or cuda")
    parser.add_argument("--device-rate", action="append", type=float, help="tiles/s of a simulated device (repeatable)")
    parser.add_argument("--launch-ms", type=float, default=1.2, help="time to launch a pass of that device")
    parser.add_argument("--cores", action="append", type=int, help="cores of the worker's process (repeatable)")
    parser.add_argument("--coders", action="append", type=int, help="coder processes (repeatable; default: none)")
    parser.add_argument("--shard-size", type=int, default=32, help="pictures of a shard")
    parser.add_argument("--seconds", type=float, default=math.inf, help="lease no further shard after this time")
    parser.add_argument("--apart", action="store_true", help="also with each shard by itself")
    parser.add_argument("--s3", action="store_true", help="store pictures on a real S3 server")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    results: list[Figures] = []
    with s3_settings(options.s3) as s3:
        for kind in KINDS:
            if options.kind and kind.name not in options.kind:
                continue
            logo = corner(kind.width, kind.height)
            with Image.open(options.photo) as photo:
                picture = photo.convert("RGB").resize((kind.width, kind.height), Image.Resampling.BICUBIC)
            picture.paste(_INK, mask=logo)
            source, mask, count = kind.make(picture), mask_of(logo), options.pictures or kind.count
            rates, cores_of = options.device_rate or [None], options.cores or [None]
            ways = itertools.product(
                rates, cores_of, options.coders or [0], [True, False] if options.apart else [False]
            )
            for rate, cores, coders, apart in ways:
                answers: Answers = context.SimpleQueue()
                further = {**s3, "coders": coders, "shard_size": options.shard_size}
                of_device = options.device, rate, options.launch_ms
                trial = Trial(count, options.method, *of_device, cores, apart, options.seconds, further)
                process = context.Process(target=_in_process, args=(kind.name, source, mask, trial, answers))
                process.start()
                process.join(None if math.isinf(options.seconds) else options.seconds + _LEEWAY_S)
                process.kill()
                process.join()
                if process.exitcode:
                    raise SystemExit(f"{kind.name}: the worker's process ended with {process.exitcode}")
                results.append(answers.get())
    report(results)
    if options.device_rate or options.device != "cpu":
        report_feeding(results)
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


def report_feeding(results: list[Figures]) -> None:
    """Print how far each job fed its device."""
    table = Table(
        "job", "shards", "coders", "device, tiles/s", "cores", "cores had", "CPU-ms/picture", "tiles/picture", "idle",
        "by the formula", "cores that keep it busy",
    )  # fmt: skip
    for figures in results:
        device = f"{figures.device_rate:.0f}" if figures.device_rate else "real"
        needed = (figures.device_rate or 0) / max(figures.tiles_per_picture, 1e-9) * figures.cpu_ms / 1000
        table.add_row(
            figures.kind, "apart" if figures.apart else "one stream", str(figures.coders or "none"),
            device, str(figures.cores or "all"), f"{figures.cores_had:.2f}",
            f"{figures.cpu_ms:.0f}", f"{figures.tiles_per_picture:.1f}", f"{figures.device_idle:.1%}",
            f"{figures.expected_idle:.1%}", f"{needed:.0f}",
        )  # fmt: skip
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
