"""``cleanplate demo``: the sample job on a temporary embedded service, measured against the known originals.

It fails when an image failed, when a pixel outside the widened mask changed, or when OpenCV's Telea did better.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from cleanplate.base.files import make_folder
from cleanplate.base.home import key_path
from cleanplate.base.loopback import local_url
from cleanplate.base.processes import python_command, spawn
from cleanplate.client.answers import Rights
from cleanplate.client.http import Client
from cleanplate.embedded import service as embedded
from cleanplate.errors import EmbeddedError, UsageError
from cleanplate.local.contact_sheet import contact_sheet
from cleanplate.terminal.submission import Work, clean, gather
from model.repair.hole import dilate
from model.repair.reach import MOST_PX

#: Variables that the demo keeps; all others would change the embedded default.
KEPT = ("CLEANPLATE_DEVICE", "CLEANPLATE_WEIGHTS", "CLEANPLATE_TORCH_THREADS", "CLEANPLATE_LOG_LEVEL")
#: The rights under the sample photos' licence.
RIGHTS = Rights(basis="licensee", attested_by="the user of the demo", reference="CC0, see samples/README.md")
HOST = "127.0.0.1"
TELEA_RADIUS_PX = 3

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Figures:
    """One picture measured: PSNR inside the given mask in dB, and pixels changed outside the widened mask."""

    name: str
    marked: float
    telea: float
    cleanplate: float
    changed_outside: int


def run(samples: Path, out: Path) -> int:
    """Clean the samples into ``out`` and report. Returns the exit status.

    Raises:
        UsageError: the samples are missing.
        EmbeddedError: the service did not start.
        ClientError: the job could not be done.
    """
    work = gather(samples / "marked", samples / "masks")
    make_folder(out)
    try:
        with FileLock(out / "demo.lock", timeout=0):
            return _run(work, samples, out)
    except Timeout:
        raise UsageError(
            f"A demo already runs in {out}: wait for its end, or choose another folder with --out."
        ) from None


def _run(work: Work, samples: Path, out: Path) -> int:
    console = Console()
    results = out / "results"
    if results.exists():
        shutil.rmtree(results)
    console.print(
        f"Starting Cleanplate in {out / 'home'} (its log: {out / 'service.log'})", markup=False, highlight=False
    )
    with _service(out / "home", out / "service.log") as (url, key), Client(url, key) as client:
        report = clean(client, work, results, rights=RIGHTS, console=console)
    for image in report.unfinished:
        reason = f"{image.error.code}: {image.error.detail}" if image.error else image.state
        console.print(f"{image.name} failed: {reason}", style="red", markup=False, highlight=False)

    finished = sorted(path.name for path in report.results)
    if not finished:
        return 1
    figures = [measure(samples, results, name) for name in finished]
    sheet = out / "contact-sheet.png"
    contact_sheet(
        [
            (label, [Image.open(folder / name) for name in finished])
            for label, folder in (
                ("original", samples / "originals"),
                ("with the mark", samples / "marked"),
                ("cleaned by Cleanplate", results),
            )
        ]
    ).save(sheet)
    _print(console, figures)
    console.print(f"Clean pictures: {results}\nBefore and after: {sheet}", markup=False, highlight=False)
    complaints = shortcomings(figures)
    for complaint in complaints:
        console.print(complaint, style="red", markup=False, highlight=False)
    return 1 if complaints or report.unfinished else 0


def measure(samples: Path, results: Path, name: str) -> Figures:
    """The figures of one sample against its original."""
    original, marked = _pixels(samples / "originals" / name), _pixels(samples / "marked" / name)
    mask = np.asarray(Image.open(samples / "masks" / name).convert("L"))
    cleaned = _pixels(results / name)
    hole = dilate(mask)
    telea = np.asarray(cv2.inpaint(marked, hole, TELEA_RADIUS_PX, cv2.INPAINT_TELEA), np.uint8)
    return Figures(
        name=name,
        marked=masked_psnr(original, marked, mask),
        telea=masked_psnr(original, telea, mask),
        cleanplate=masked_psnr(original, cleaned, mask),
        changed_outside=int(np.count_nonzero((cleaned != marked).any(axis=2) & (dilate(mask, MOST_PX) == 0))),
    )


def masked_psnr(original: Pixels, other: Pixels, mask: Pixels) -> float:
    """PSNR in dB of ``uint8 [H, W, 3]`` pictures over the pixels where ``mask`` (``uint8 [H, W]``) is not 0."""
    inside = mask > 0
    error = original[inside].astype(np.float64) - other[inside]
    mean_square = float(np.mean(error**2))
    return float("inf") if mean_square == 0 else 10 * float(np.log10(255**2 / mean_square))


def shortcomings(figures: Sequence[Figures]) -> list[str]:
    """The failures that the figures show, in sentences."""
    failures = [
        f"{figure.name}: {figure.changed_outside} pixels outside the widened mask changed."
        for figure in figures
        if figure.changed_outside
    ]
    cleanplate, telea = (float(np.mean([getattr(f, way) for f in figures])) for way in ("cleanplate", "telea"))
    if cleanplate < telea:
        failures.append(f"Cleanplate ({cleanplate:.2f} dB) is behind Telea ({telea:.2f} dB).")
    return failures


def _print(console: Console, figures: Sequence[Figures]) -> None:
    table = Table(
        "picture", title="PSNR inside the mask, in dB", title_justify="left", title_style="", show_footer=True
    )
    table.columns[0].footer = "mean"
    for heading, way in (("marked", "marked"), ("Telea", "telea"), ("Cleanplate", "cleanplate")):
        mean = np.mean([getattr(figure, way) for figure in figures])
        table.add_column(heading, justify="right", footer=f"{mean:.2f}")
    changed = sum(figure.changed_outside for figure in figures)
    table.add_column("changed outside", justify="right", footer=str(changed))
    for figure in figures:
        decibels = (f"{value:.2f}" for value in (figure.marked, figure.telea, figure.cleanplate))
        table.add_row(figure.name, *decibels, str(figure.changed_outside))
    console.print(table)


def _pixels(path: Path) -> Pixels:
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


@contextmanager
def _service(home: Path, log_path: Path) -> Iterator[tuple[str, str]]:
    """An embedded service while the block runs: its address and key."""
    home = home.absolute()
    port = embedded.free_port(HOST, 0)
    url = local_url(HOST, port)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("CLEANPLATE_") or name in KEPT
    }
    command = python_command("cleanplate", "up", "--port", str(port), "--home", str(home))
    with log_path.open("wb") as log:
        service = spawn(command, environment, output=log)
    try:
        if not embedded.wait_until_ready(url, go_on=lambda: service.poll() is None):
            lines = log_path.read_text(errors="replace").splitlines() or ["it printed nothing"]
            raise EmbeddedError(f"The service did not start: {lines[-1]}")
        yield url, key_path(home).read_text().strip()
    finally:
        _stop(service)


def _stop(service: subprocess.Popen[bytes]) -> None:
    service.terminate()
    try:
        # `up` itself kills the processes that do not stop in time.
        service.wait(embedded.STOP_WITHIN_S + 30)
    finally:
        service.kill()
        service.wait()
