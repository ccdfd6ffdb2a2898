"""Folders of marked pictures: estimates templates, draws their contact sheets, cleans the pictures file by file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cleanplate.base.files import replacing
from cleanplate.base.settings import Settings
from cleanplate.errors import UsageError
from model.errors import ModelError
from model.formats import is_picture_name
from model.imaging import Limits

if TYPE_CHECKING:
    from model.watermark.caution import Caution
    from model.watermark.remove import Fill
    from model.watermark.samples import Sample
    from model.watermark.template import Rule, Template

Pixels = NDArray[np.uint8]
Progress = Callable[[str, int, int], None]

#: Pictures before and after on a contact sheet, and its columns.
_SHOWN, _COLUMNS = 12, 6


@dataclass(frozen=True)
class Estimate:
    """The result of an estimate."""

    templates: list[Template]
    warnings: list[Caution]
    duplicates: int
    #: Name and reason.
    unreadable: list[tuple[str, str]]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one file.

    ``cleaned``; ``flagged``: the mark is in it and may still show; ``skipped``: no mark; ``there``: of an earlier run;
    ``failed``.
    """

    name: str
    state: str
    #: A hint for people; may be empty.
    note: str = ""


def limits_of(settings: Settings) -> Limits:
    """The limits of pictures."""
    return Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)


def pictures(folder: Path) -> tuple[list[Path], list[Path]]:
    """The picture files of a folder, sorted, and the files that are no pictures by their name (hidden ones aside).

    Raises:
        UsageError: there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    pictures = [path for path in files if is_picture_name(path)]
    if not pictures:
        raise UsageError(f"There are no pictures in {folder}.")
    return pictures, [path for path in files if not is_picture_name(path)]


def load(path: Path) -> Template:
    """Raises:
    UsageError: the file cannot be read.
    TemplateRejected: it is not a template.
    """
    from model.watermark.template import Template

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    return Template.from_bytes(data)


def estimate_templates(files: Sequence[Path], limits: Limits, *, force: bool, on_progress: Progress) -> Estimate:
    """Estimate the templates of the marks that the files share; unreadable files are left out and named.

    Raises:
        TemplateRefused: there are too few pictures, or they share no mark.
    """
    from model.watermark.estimate import estimate

    samples, unreadable = _samples(files, limits)
    made = estimate(samples, force=force, on_progress=on_progress)
    return Estimate(made.templates, made.warnings, made.duplicates, unreadable)


def template_from_logo(logo: Path, files: Sequence[Path], limits: Limits, *, on_progress: Progress) -> Estimate:
    """The template of a logo's file as the pictures carry it.

    Raises:
        UsageError: the logo cannot be read, or has no transparency.
        TemplateRefused: no picture shows it.
    """
    from model.imaging.coding import decode
    from model.watermark.known import from_logo

    try:
        page = decode(logo.read_bytes(), limits).pages[0]
    except (ModelError, OSError) as error:
        raise UsageError(f"{logo} cannot be read: {error}") from None
    if not page.alpha:
        raise UsageError(f"{logo} has no transparency: save the logo as a PNG without its ground.")
    alpha = page.samples[..., -1].astype(np.float32) / np.float32(np.iinfo(page.samples.dtype).max)
    samples, unreadable = _samples(files, limits)
    made = from_logo(alpha, page.views()[0].pixels.astype(np.float32), samples, on_progress=on_progress)
    return Estimate(made.templates, made.warnings, made.duplicates, unreadable)


def template_from_mark(
    picture: Path, mask: Path, files: Sequence[Path], limits: Limits, *, on_progress: Progress
) -> Estimate:
    """The template of the mark that a mask paints over in one picture, as the other pictures carry it.

    Raises:
        UsageError: the picture or the mask cannot be read, or their sizes differ.
        TemplateRefused: the mark does not stand out.
    """
    from model.imaging.mask_files import pixel_mask
    from model.watermark.known import from_mark

    try:
        pixels, painted = _upright(picture.read_bytes(), limits), pixel_mask(mask.read_bytes(), limits)
    except (ModelError, OSError) as error:
        raise UsageError(f"{picture} or {mask} cannot be read: {error}") from None
    if painted.shape != pixels.shape[:2]:
        sizes = [f"{one.shape[1]}x{one.shape[0]} px" for one in (painted, pixels)]
        raise UsageError(f"The mask has {sizes[0]} and its picture {sizes[1]}: they must be equal.")
    samples, unreadable = _samples([path for path in files if path.resolve() != picture.resolve()], limits)
    made = from_mark(pixels, painted, samples, on_progress=on_progress)
    return Estimate(made.templates, made.warnings, made.duplicates, unreadable)


def _samples(files: Sequence[Path], limits: Limits) -> tuple[list[Sample], list[tuple[str, str]]]:
    """The files as samples, and a list that gets name and reason of each that cannot be read."""
    from model.watermark.samples import Sample

    unreadable: list[tuple[str, str]] = []

    def read(path: Path) -> Pixels | None:
        try:
            return _upright(path.read_bytes(), limits)
        except (ModelError, OSError) as error:
            unreadable.append((path.name, str(error)))
            return None

    return [Sample(path.name, lambda path=path: read(path)) for path in files], unreadable  # type: ignore[misc]


def description(path: Path, sheet: Path, template: Template) -> str:
    """A template in a few lines of text."""
    quality, rule = template.quality, template.rule
    height, width = template.mask.shape
    if rule.lattice:
        place = "repeated over the whole picture"
    elif rule.anywhere:
        place = "anywhere in the picture"
    else:
        place = " or ".join((rule.anchor, *rule.also)) + f", measured in {rule.scale}"
    proof = f"found again in {quality.found} of {quality.tested} of them, clean in {quality.clean}"
    return "\n".join(
        (
            f"{path}: a mark of {width}x{height} px, {place}, opacity {quality.opacity:.2f}",
            f"  from {quality.samples} pictures ({quality.without} without it), "
            f"{quality.informative:.0f} inform about a pixel of it; opacity is off by about {quality.error:.3f}",
            f"  self-test: {proof}" if quality.tested else "  not tested",
            f"  look at {sheet} before you use it",
        )
    )


def template_sheet(template: Template, files: Sequence[Path], limits: Limits) -> bytes:
    """The contact sheet of a template, as a PNG: mask over the mean picture, opacity, colour, and before and after."""
    from cleanplate.local.contact_sheet import contact_sheet
    from model.watermark.remove import finish, prepare

    before: list[Image.Image] = []
    after: list[Image.Image] = []
    around: list[Pixels] = []
    for path in files:
        if len(before) == _SHOWN:
            break
        try:
            pixels = _upright(path.read_bytes(), limits)
        except (ModelError, OSError):
            continue
        prepared = prepare(pixels, template, noise=3.0)
        if prepared is None:
            continue
        before.append(Image.fromarray(pixels))
        after.append(Image.fromarray(finish(prepared, None).pixels))
        around.append(_around(pixels, template, prepared.sighting.rule))
    mean = (
        np.mean([part.astype(np.float32) for part in around], axis=0)
        if around
        else np.full((*template.mask.shape, 3), 128)
    )
    marked = mean.astype(np.uint8).copy()
    marked[template.mask > 0] = (0.4 * marked[template.mask > 0] + 0.6 * np.array((230, 30, 90))).astype(np.uint8)
    alpha = np.repeat(np.rint(template.alpha * 255).astype(np.uint8)[..., None], 3, axis=2)
    share = template.alpha[..., None] / max(float(template.alpha.max()), 1e-3)
    colour = (template.colour * share + 128 * (1 - share)).astype(np.uint8)
    blank = Image.new("RGB", (1, 1), "white")
    rows: list[tuple[str, list[Image.Image]]] = [
        (
            "The mask over the mean picture; the mean picture; opacity; colour",
            _filled([Image.fromarray(part) for part in (marked, mean.astype(np.uint8), alpha, colour)], blank),
        )
    ]
    for at in range(0, len(before), _COLUMNS):
        rows.append(("Before", _filled(before[at : at + _COLUMNS], blank)))
        rows.append(("After (without the network)", _filled(after[at : at + _COLUMNS], blank)))
    out = io.BytesIO()
    contact_sheet(rows).save(out, "PNG")
    return out.getvalue()


def fill_of(settings: Settings) -> AbstractContextManager[Fill | None]:
    """The network that inpaints, loaded when the block begins."""
    from cleanplate.base.weights import find

    chosen = find(settings) or ""

    @contextmanager
    def opened() -> Iterator[Fill]:
        from model.engine.inpainter import LaMaInpainter

        with LaMaInpainter(chosen, settings.device, threads=settings.torch_threads) as inpainter:
            yield lambda pixels, hole: inpainter(pixels, hole, dilation_px=0, method="fill")

    return opened()


def no_fill() -> AbstractContextManager[Fill | None]:
    """No network."""
    return nullcontext(None)


def apply_templates(
    files: Sequence[Path],
    templates: Sequence[Template],
    out: Path,
    limits: Limits,
    fill: Fill | None,
    *,
    strict: bool,
    force: bool,
) -> Iterator[Outcome]:
    """Clean each file into ``out`` under its name; a file that fails is reported, and the others continue."""
    from model.watermark.files import clean

    for path in files:
        target = out / path.name
        if target.exists() and not force:
            yield Outcome(path.name, "there")
            continue
        try:
            source = path.read_bytes()
            cleaned = clean(source, templates, limits=limits, fill=fill)
            if cleaned.residual and strict:
                yield Outcome(path.name, "failed", "residual_mark: the mark still shows; the file was not written")
                continue
            with replacing(target) as file:
                file.write(cleaned.data)
        except ModelError as error:
            yield Outcome(path.name, "failed", f"{error.code}: {error}")
        except OSError as error:
            yield Outcome(path.name, "failed", f"unreadable: {error.strerror or error}")
        else:
            if cleaned.residual:
                yield Outcome(path.name, "flagged", "the mark may still show: look at it")
            else:
                yield Outcome(path.name, "skipped" if cleaned.skipped else "cleaned")


def _upright(data: bytes, limits: Limits) -> Pixels:
    """The first page of a file, upright, as RGB."""
    from model.imaging.coding import decode

    return decode(data, limits).pages[0].views()[0].pixels


def _around(pixels: Pixels, template: Template, rule: Rule) -> Pixels:
    """The part of a picture in which the template lies, in the template's size."""
    height, width = template.mask.shape
    if rule.lattice is not None:
        top, left = 0, 0
        tall, wide = height, width
    else:
        factor = rule.factor(pixels.shape[0], pixels.shape[1])
        top, left = rule.corner(*pixels.shape[:2])
        tall, wide = round(height * factor), round(width * factor)
    rows = np.clip(np.arange(top, top + tall), 0, pixels.shape[0] - 1)
    columns = np.clip(np.arange(left, left + wide), 0, pixels.shape[1] - 1)
    part = Image.fromarray(pixels[np.ix_(rows, columns)])
    return np.asarray(part.resize((width, height)), np.uint8)


def _filled(row: list[Image.Image], blank: Image.Image) -> list[Image.Image]:
    return [*row, *[blank] * (_COLUMNS - len(row))]
