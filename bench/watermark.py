"""Marks estimated from one set of photos and removed from another: masks, pixels, ghosts, and false detections.

    python -m bench.watermark TRAIN EVAL [--seeds 3] [--first-seed 0] [--out marks.json] [--only NAME…]

Seeded marks (:mod:`bench.marks`) are blended over photos of TRAIN for the estimate, and over those of EVAL for scoring.
Each method gets the marked picture: no change, OpenCV's Telea and the network with the true mask, un-blending with the
true template, un-blending alone with the estimated one, and the whole pipeline. Figures are means over pictures and
seeds, inside the true mark (coverage over 0.02). A picture whose mark is missed counts unchanged.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.colour_difference import delta_e_2000
from bench.marks import Marked, Photos, Scene, crop, marked_set, scene_of
from model.engine.inpainter import LaMaInpainter
from model.errors import TemplateRefused
from model.imaging import Limits
from model.repair.hole import dilate
from model.repair.noise import noise_of
from model.repair.seam import lab_of
from model.watermark.estimate import estimate
from model.watermark.files import clean
from model.watermark.ghost import ghost_score
from model.watermark.remove import PreparedMark, finish, prepare, remove
from model.watermark.samples import Sample
from model.watermark.sighting import look, shown_mask
from model.watermark.template import Template

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
LIMITS = Limits(max_bytes=10**9, max_pixels=10**9)
MIXED = ((480, 360), (360, 480), (600, 450), (480, 480))
#: Sizes that differ from the samples' 480x360.
OTHER = ((360, 480), (600, 450), (800, 600))
#: Pictures scored for each seed.
SCORED = 12


@dataclass
class Case:
    """A row of the table."""

    scene: Scene
    samples: int = 50
    #: The scene of the scored pictures; ``None``: that of the samples.
    scored: Scene | None = None
    #: Whether to run the methods with a network.
    network: bool = True
    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        self.figures.setdefault(name, []).append(value)


def cases() -> dict[str, Case]:
    """All cases by name."""
    rows: dict[str, Case] = {}
    for alpha in (0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95):
        rows[f"text {alpha}"] = Case(scene_of("text", alpha), network=alpha >= 0.6)
    for alpha in (0.3, 0.4, 0.6, 0.8):
        rows[f"logo {alpha}"] = Case(scene_of("logo", alpha), network=alpha >= 0.6)
    for alpha in (0.3, 0.6):
        rows[f"tiled {alpha}"] = Case(scene_of("tiled", alpha), network=False)
    rows["plate 0.95"] = Case(scene_of("plate", 0.95))
    for count in (10, 20, 100, 200):
        rows[f"text 0.4, N {count}"] = Case(scene_of("text", 0.4), samples=count, network=False)
    for quality in (70, 95, None):
        name = f"JPEG q{quality}" if quality else "PNG"
        rows[f"text 0.4, {name}"] = Case(scene_of("text", 0.4, quality=quality), network=False)
    for white in (0.5, 0.85):
        plain = scene_of("text", 0.4)
        rows[f"text 0.4, {white:.0%} white"] = Case(scene_of("text", 0.4, white=white), scored=plain, network=False)
    moved = scene_of("text", 0.4, jitter=3, strength=0.1)
    rows["text 0.4, +-3 px, +-.1"] = Case(moved, network=False)
    rows["logo 0.5, mixed sizes, px"] = Case(scene_of("logo", 0.5, sizes=MIXED), network=False)
    relative = scene_of("logo", 0.5, sizes=MIXED, relative_to=480)
    rows["logo 0.5, mixed sizes, relative"] = Case(relative, network=False)
    for name, changes in (("px", {}), ("relative", {"relative_to": 480})):
        elsewhere = scene_of("logo", 0.5, sizes=OTHER, **changes)
        rows[f"logo 0.5, other sizes, {name}"] = Case(scene_of("logo", 0.5), scored=elsewhere, network=False)
    return rows


def run(case: Case, train: Photos, scored: Photos, seed: int, fill: Callable[[Pixels, Pixels], Pixels]) -> None:
    """Run one seed of a case."""
    rng = np.random.default_rng(seed)
    began = time.process_time()
    samples = marked_set(case.scene, train.draw(rng, case.samples), rng)
    began = time.process_time()
    try:
        result = estimate(samples_of([one.given for one in samples]), force=True)
    except TemplateRefused:
        case.note("refused", 1)
        return
    case.note("estimate_cpu_s", time.process_time() - began)
    case.note("informative", result.templates[0].quality.informative)
    for one in marked_set(case.scored or case.scene, scored.draw(rng, SCORED), rng):
        score(case, one, result.templates[0], fill if case.network else None)


def samples_of(pictures: list[Pixels]) -> list[Sample]:
    return [Sample(str(index), lambda shown=shown: shown) for index, shown in enumerate(pictures)]  # type: ignore[misc]


def score(case: Case, one: Marked, template: Template, fill: Callable[[Pixels, Pixels], Pixels] | None) -> None:
    """Note all figures of one picture."""
    true_mask, zone = one.coverage >= 0.5, one.coverage > 0.02
    noise = noise_of({0: _table(case.scene.quality)} if case.scene.quality else None, lossless=not case.scene.quality)
    began = time.process_time()
    prepared = prepare(one.given, template, noise=noise)
    case.note("found", float(prepared is not None))
    if prepared is None:
        _missed(case, one, zone)
        return
    case.note("apply_ms", (time.process_time() - began) * 1000)
    mask = shown_mask(one.given.shape[:2], template, prepared.sighting)
    case.note("iou", float((mask & true_mask).sum() / max((mask | true_mask).sum(), 1)))
    hole = dilate((one.coverage > 0.02).astype(np.uint8) * np.uint8(255), 2)
    # Measured by the true mark, not by the template's mask; a soft edge may be read a little wide.
    far = cv2.dilate((one.coverage > 0).astype(np.uint8), np.ones((13, 13), np.uint8)) == 0
    results: dict[str, Values] = {
        "nothing": one.given.astype(np.float32),
        "telea": cv2.inpaint(one.given, hole, 3, cv2.INPAINT_TELEA).astype(np.float32),
        "true template": _unblended(one.given, one.alpha, one.colour),
        "pure un-blending": _pure(prepared),
    }
    filled: Pixels | None = None
    if fill is not None:
        results["network"] = fill(one.given, hole).astype(np.float32)
        filled = fill(one.given, prepared.hole) if prepared.wants_fill else None
    removal = finish(prepared, filled)
    results["cleanplate"] = removal.pixels.astype(np.float32)
    for name, result in results.items():
        case.note(f"psnr {name}", psnr(result, one.original, zone))
    lab = [lab_of(part[zone][None]).astype(np.float64) for part in (removal.pixels, one.original)]
    case.note("delta_e", float(delta_e_2000(lab[0], lab[1]).mean()))
    case.note("ghost", abs(removal.ghost))
    case.note("ghost before", abs(_ghost(one.given, prepared)))
    case.note("residual", float(removal.residual))
    case.note("outside changed", float((removal.pixels != one.given).any(axis=2)[far].sum()))


def _missed(case: Case, one: Marked, zone: NDArray[np.bool_]) -> None:
    """Note the figures of a picture whose mark was missed: it stays unchanged."""
    for name in ("nothing", "pure un-blending", "cleanplate"):
        case.note(f"psnr {name}", psnr(one.given.astype(np.float32), one.original, zone))
    case.note("psnr true template", psnr(_unblended(one.given, one.alpha, one.colour), one.original, zone))


def _unblended(given: Pixels, alpha: Values, colour: Values) -> Values:
    through = np.maximum(1 - alpha, 0.03)[..., None]
    return np.asarray(np.clip((given - alpha[..., None] * colour) / through, 0, 255), np.float32)


def _pure(mark: PreparedMark) -> Values:
    out = mark.pixels.astype(np.float32)
    hole = mark.recovery.hole
    out[mark.recovery.view][hole] = mark.recovery.value[hole]
    return out


def _ghost(pixels: Pixels, mark: PreparedMark) -> float:
    recovery = mark.recovery
    return ghost_score(pixels[recovery.view].astype(np.float32), recovery.alpha, recovery.colour)


def _table(quality: int | None) -> list[int]:
    """Pillow's luma quantization table at ``quality``."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("L", (8, 8)).save(out, "JPEG", quality=quality or 75)
    with Image.open(out) as image:
        return list(image.quantization[0])  # type: ignore[attr-defined]


def psnr(result: Values, original: Pixels, zone: NDArray[np.bool_]) -> float:
    """Peak signal-to-noise ratio over the pixels of ``zone``, in dB."""
    error = (np.rint(result) - original)[zone]
    return float(10 * np.log10(255**2 / max(float(np.mean(error**2)), 1e-9)))


def clean_pictures(
    train: Photos, scored: Photos, template_of: Callable[[Scene], Template], sizes: tuple[tuple[int, int], ...]
) -> dict[str, float]:
    """The share of clean pictures of ``sizes`` in which a template finds its mark."""
    touched, total = 0, 0
    rng = np.random.default_rng(77)
    templates = [template_of(scene_of(kind, 0.4)) for kind in ("text", "logo", "tiled")]
    paths = [*scored.paths, *train.draw(rng, 500 - len(scored.paths))]
    for path in paths:
        pixels = crop(path, *sizes[total % len(sizes)], rng)
        touched += any(look(pixels, template) is not None for template in templates)
        total += 1
    return {"pictures": total, "touched": touched, "share": touched / total}


def product_logos(train: Photos, seeds: int) -> dict[str, float]:
    """The number of makers' logos, printed on different products near the middle, that are taken for a mark."""
    taken = 0
    for seed in range(seeds):
        rng = np.random.default_rng(1000 + seed)
        pictures = [printed(crop(path, 480, 360, rng), rng) for path in train.draw(rng, 50)]
        try:
            taken += len(estimate(samples_of(pictures)).templates)
        except TemplateRefused:
            continue
    return {"sets": seeds, "taken": taken}


def printed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A logo printed on cloth: near the middle, with random place, size, angle and brightness."""
    mark = scene_of("logo", 1.0).mark
    side = mark.coverage.shape[0]
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), float(rng.uniform(-8, 8)), float(rng.uniform(0.75, 1.25)))
    matrix[:, 2] += (240 - side / 2 + rng.uniform(-25, 25), 180 - side / 2 + rng.uniform(-25, 25))
    coverage = cv2.warpAffine(mark.coverage, matrix, (480, 360))[..., None] * 0.9
    colour = cv2.warpAffine(mark.colour, matrix, (480, 360)) * rng.uniform(0.7, 1.0)
    return np.asarray(np.clip(pixels * (1 - coverage) + colour * coverage, 0, 255), np.uint8)


def large(train: Photos, kind: str) -> dict[str, float]:
    """At 1000 x 1000 px: CPU seconds to estimate from 100 pictures, ms to apply without a network, peak memory."""
    figures: dict[str, float] = {}
    rng = np.random.default_rng(5)
    scene = scene_of(kind, 0.5, 600 if kind == "tiled" else 1000, sizes=((1000, 1000),))
    paths = train.draw(rng, 100)
    result = estimate(
        [Sample(str(n), partial(_made, scene, path, n)) for n, path in enumerate(paths)], on_progress=_Clock(figures)
    )
    figures["estimate_cpu_s"] = round(time.process_time() - figures.pop("began"), 1)
    times, whole = [], []
    for one in marked_set(scene, paths[:9], np.random.default_rng(6)):
        began = time.process_time()
        remove(one.given, result.templates[0], noise=4.0)
        times.append((time.process_time() - began) * 1000)
        began = time.process_time()
        clean(one.file, result.templates, limits=LIMITS)
        whole.append((time.process_time() - began) * 1000)
    # The first run warms up.
    figures["apply_ms"] = round(float(np.median(times[1:])), 1)
    figures["file_to_file_ms"] = round(float(np.median(whole[1:])), 1)
    figures["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return figures


def _made(scene: Scene, path: Path, seed: int) -> Pixels:
    return marked_set(scene, [path], np.random.default_rng(seed))[0].given


class _Clock:
    """Restarts the clock after each sample that is read: making the samples is not part of the estimate."""

    def __init__(self, figures: dict[str, float]) -> None:
        self._figures = figures

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage == "read":
            self._figures["began"] = time.process_time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="folder of photos to estimate from")
    parser.add_argument("eval", type=Path, help="folder of other photos to score on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--only", nargs="*", help="rows, clean, print, large logo and so on (default: all)")
    options = parser.parse_args()
    train, scored = Photos(options.train), Photos(options.eval)
    inpainter = LaMaInpainter("", "cpu", threads=1)
    report: dict[str, Any] = {"rows": {}}

    def fill(pixels: Pixels, hole: Pixels) -> Pixels:
        return inpainter(pixels, hole, dilation_px=0, method="fill")

    def template_of(scene: Scene) -> Template:
        rng = np.random.default_rng(50)
        return estimate(samples_of([one.given for one in marked_set(scene, train.draw(rng, 50), rng)])).templates[0]

    def wanted(name: str) -> bool:
        return not options.only or name in options.only

    for name, case in cases().items():
        if not wanted(name):
            continue
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            run(case, train, scored, seed, fill)
        report["rows"][name] = {key: round(float(np.mean(values)), 4) for key, values in case.figures.items()}
        print(name, report["rows"][name], flush=True)
        _write(options.out, report)
    extra: dict[str, Callable[[], dict[str, float]]] = {
        "clean": lambda: clean_pictures(train, scored, template_of, ((480, 360),)),
        "clean, other sizes": lambda: clean_pictures(train, scored, template_of, OTHER),
        "print": lambda: product_logos(train, options.seeds),
        "large logo": lambda: large(train, "logo"),
        "large tiled": lambda: large(train, "tiled"),
    }
    for name, measure in extra.items():
        if wanted(name):
            report[name] = measure()
            print(name, report[name], flush=True)
            _write(options.out, report)
    table(report["rows"])


def _write(out: Path | None, report: dict[str, Any]) -> None:
    if out:
        out.write_text(json.dumps(report, indent=1) + "\n")


COLUMNS = ("iou", "psnr nothing", "psnr telea", "psnr network", "psnr true template", "psnr pure un-blending",
           "psnr cleanplate", "delta_e", "ghost before", "ghost", "outside changed")  # fmt: skip


def table(rows: dict[str, dict[str, float]]) -> None:
    """Print the rows as a table."""
    shown = Table("case", *(name.removeprefix("psnr ") for name in COLUMNS))
    for name, figures in rows.items():
        shown.add_row(name, *(f"{figures[column]:.2f}" if column in figures else "" for column in COLUMNS))
    Console(width=160).print(shown)


if __name__ == "__main__":
    main()
