"""CPU time of one JPEG by stage, beside the network: what a worker's threads compute for a picture.

    python -m bench.stages PHOTO [--against CHECKOUT] [--rounds 6] [--out stages.json]

The photo, in 1200x1600 at quality 88, carries a mark; the fill is given (the photo, smoothed), so that no network runs.
Jobs: a logo in the corner with a mask that all pictures share, the same with a mask for each picture, and text tiled
over the whole picture. Each round is a process of its own that imports no more than it needs; with ``--against``, every
other round runs the code of another checkout of this repository, so that both meet the same machine. A decode of the
file by OpenCV (libjpeg-turbo) is the unit: a busy or slow machine stretches it as well.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.corpus.content import file_of
from bench.pipeline import corner, mask_of
from bench.plan import tiled_text
from model.imaging import Limits, probe
from model.imaging.coding import decode
from model.repair.marking import Markings
from model.repair.preview import preview
from model.repair.task import Task, composite, read, recovered, write
from model.repair.texture import textured

Pixels = NDArray[np.uint8]
#: CPU-ms by job and stage.
Costs = dict[str, dict[str, float]]

WIDTH, HEIGHT, QUALITY = 1200, 1600, 88
LIMITS = Limits(max_bytes=1 << 30, max_pixels=1 << 30)
TURBO = "turbo decode"
#: The work for a picture, in its order. ``hashes``: SHA-256 of source, mask and result.
STAGES = ("probe", "decode", "mask and plan", "fill laid", "recovery", "texture", "file written", "preview", "hashes")
#: Pictures of a round, and those of them that only warm caches up.
_PICTURES, _COLD = 8, 2


@dataclass(frozen=True)
class Job:
    name: str
    mask: bytes
    #: Whether each picture brings a mask of its own.
    own_masks: bool = False


def jobs() -> Iterator[Job]:
    logo = mask_of(corner(WIDTH, HEIGHT))
    yield Job("corner logo", logo)
    yield Job("corner logo, own masks", logo, own_masks=True)
    yield Job("tiled text", file_of(Image.fromarray(tiled_text(HEIGHT, WIDTH)), "PNG"))


def marked(photo: Pixels, mask: bytes) -> bytes:
    """The photo with opaque white where the mask is, as a JPEG."""
    drawn = cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_GRAYSCALE)
    return file_of(Image.fromarray(np.where(drawn[..., None] > 127, np.uint8(255), photo)), "JPEG", quality=QUALITY)


class Clock:
    """CPU time of this process, its threads included, since the last look."""

    def __init__(self) -> None:
        self._at = time.process_time()

    def ms(self) -> float:
        before, self._at = self._at, time.process_time()
        return (self._at - before) * 1000


def picture(source: bytes, mask: bytes, read_task: Callable[[bytes, bytes], Task], fill: Pixels) -> dict[str, float]:
    """CPU-ms of each stage for one picture."""
    spent: dict[str, float] = {}
    clock = Clock()
    cv2.imdecode(np.frombuffer(source, np.uint8), cv2.IMREAD_COLOR)
    spent[TURBO] = clock.ms()
    probe(source, LIMITS)
    spent["probe"] = clock.ms()
    decode(source, LIMITS)
    spent["decode"] = clock.ms()
    task = read_task(source, mask)
    spent["mask and plan"] = clock.ms() - spent["decode"]
    filled = composite(task, fill)
    spent["fill laid"] = clock.ms()
    recovery = recovered(replace(task, texture=0.0), filled)
    spent["recovery"] = clock.ms()
    pixels = textured(recovery, task.hole, task.texture, task.soft).pixels
    spent["texture"] = clock.ms()
    repaired = write(task, [pixels])
    spent["file written"] = clock.ms()
    preview(task, [pixels])
    spent["preview"] = clock.ms()
    for file in (source, mask, repaired.data):
        hashlib.sha256(file).hexdigest()
    spent["hashes"] = clock.ms()
    if repaired.record["written"] != "spliced":
        raise RuntimeError(f"the picture was {repaired.record['written']}, not spliced")
    return spent


def measure(photo: Pixels) -> dict[str, list[dict[str, float]]]:
    """A round in this process: for each job the CPU-ms of every picture by stage."""
    fill = np.asarray(cv2.GaussianBlur(photo, (0, 0), 2), np.uint8)
    spent: dict[str, list[dict[str, float]]] = {}
    for job in jobs():
        source = marked(photo, job.mask)
        read_task = reader(job)
        pictures = [picture(source, bytes(bytearray(job.mask)), read_task, fill) for _ in range(_PICTURES)]
        spent[job.name] = pictures[_COLD:]
    return spent


def reader(job: Job) -> Callable[[bytes, bytes], Task]:
    """How a worker reads a picture of this job with its mask."""
    shared = None if job.own_masks else Markings()
    return lambda source, mask: read(source, mask, limits=LIMITS, markings=shared)


def run(checkout: Path, photo: Path) -> dict[str, list[dict[str, float]]]:
    """A round in a process of its own, with the code of ``checkout``."""
    command = [sys.executable, "-m", "bench.stages", str(photo.resolve()), "--round"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{checkout}: {done.stderr}")
    spent: dict[str, list[dict[str, float]]] = json.loads(done.stdout)
    return spent


def costs(rounds: list[dict[str, list[dict[str, float]]]]) -> Costs:
    """The median of each stage over all pictures of all rounds."""
    return {
        job: {
            # A checkout from before a stage has no time of it.
            stage: round(statistics.median(one.get(stage, 0.0) for spent in rounds for one in spent[job]), 2)
            for stage in (TURBO, *STAGES)
        }
        for job in rounds[0]
    }


def total(spent: dict[str, float]) -> float:
    return sum(spent[stage] for stage in STAGES)


def report(now: Costs, before: Costs | None) -> None:
    """Print a table for each job."""
    console = Console(width=120)
    for job, spent in now.items():
        columns = {"now": spent} if before is None else {"before": before[job], "now": spent}
        table = Table("stage", *(f"{name}, {unit}" for name in columns for unit in ("ms", "decodes")), title=job)
        for stage in (*STAGES, "all"):
            cells = []
            for column in columns.values():
                value = total(column) if stage == "all" else column[stage]
                cells += [f"{value:.1f}", f"{value / column[TURBO]:.1f}"]
            table.add_row(stage, *cells)
        table.caption = ", ".join(f"{TURBO} {name}: {column[TURBO]:.1f} ms" for name, column in columns.items())
        console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout, measured in turns")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--round", action="store_true", help="run one round here and print its figures as JSON")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    if options.round:
        with Image.open(options.photo) as opened:
            photo = opened.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        print(json.dumps(measure(np.asarray(photo))))
        return
    now, before = [], []
    for _ in range(options.rounds):
        if options.against is not None:
            before.append(run(options.against, options.photo))
        now.append(run(Path.cwd(), options.photo))
    figures = {"now": costs(now)} | ({"before": costs(before)} if before else {})
    report(figures["now"], figures.get("before"))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
