"""``inpaint``: cleans one picture on this machine, without a service."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from cleanplate.base.masks import TextMask
    from model.formats import Format
    from model.imaging import Limits, Probe
    from model.repair.records import RepairRecord
    from model.repair.recovery import Recovery
    from model.text.doubt import Doubt
    from model.text.files import TextMarks


OutputFormat = Literal["jpeg", "png", "webp", "avif", "tiff"]
RepairMethod = Literal["auto", "recover", "fill"]
#: Help texts of the options for text marks, here and in `submit`.
TEXT = "Instead of a mask: the words of a text mark; may be given several times. Case and misread letters are ignored."
AREA = (
    "Instead of a mask, or besides --text: the area of a text mark's centre, `bottom_right` or "
    "`left,top,width,height` as shares of the picture; may be given several times."
)
ANY_TEXT = "Instead of a mask: remove every text, also print on the goods."
#: Doubts about a text mark that was filled, for people.
_DOUBTS: dict[Doubt, str] = {
    "hole_large": "look at it: much was filled, as the letters cannot be told from the picture, or cover much of it.",
    "over_detail": "look at it: there is fine detail around the letters, and what was filled below them is invented.",
}


def inpaint(
    image: Annotated[Path, typer.Argument(help="The picture.")],
    mask: Annotated[
        Path | None, typer.Argument(help="Its mask, of its size: white: repair, black: keep.", show_default=False)
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, in the picture's own format or --output.")],
    output: Annotated[
        OutputFormat | None, typer.Option(help="Format of the result.", show_default="the picture's own")
    ] = None,
    mask_inverted: Annotated[
        bool, typer.Option("--mask-inverted", help="The mask is black, or transparent, where the picture is repaired.")
    ] = False,
    mask_threshold: Annotated[
        int | None,
        typer.Option(
            help="The least value of the mask that marks, in its own depth; 1: all that is not zero.",
            show_default="the upper half",
            min=1,
            max=65_535,
        ),
    ] = None,
    max_marked_share: Annotated[
        float, typer.Option(help="A mask that marks a larger share of the picture is refused.", min=0, max=1)
    ] = 0.9,
    text: Annotated[list[str] | None, typer.Option(help=TEXT)] = None,
    area: Annotated[list[str] | None, typer.Option(help=AREA)] = None,
    any_text: Annotated[bool, typer.Option("--any-text", help=ANY_TEXT)] = False,
    method: Annotated[
        RepairMethod,
        typer.Option(
            help="`auto`: recover the picture under a translucent mark where that is sure, and fill the rest; "
            "`recover`: also where it is not sure; `fill`: fill everything."
        ),
    ] = "auto",
    texture: Annotated[
        float,
        typer.Option(help="How much of the picture's own fine detail is copied into the fill; 0: none.", min=0, max=1),
    ] = 1.0,
    weights: Annotated[
        str | None, typer.Option(help="A name from `cleanplate weights list`, or a file.", show_default="as set")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Clean one picture on this machine. Nothing changes outside the widened mask; format and metadata are kept.

    What the result lacks besides the mark (a gain map, further pictures) is printed.

    Needs the extra `worker` (`pip install 'cleanplate[worker]'`), and the extra `text` for text marks. Device, weights
    and limits are those of `cleanplate settings`. A picture without the text is written unchanged.

    Example: `cleanplate inpaint photo.jpg logo-mask.png -o clean.jpg`,
    or `cleanplate inpaint photo.jpg --text "Doe Shirts" --area bottom -o clean.jpg`
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cleanplate.base.files import replacing, require_writable
    from cleanplate.base.settings import load_settings
    from cleanplate.base.weights import find
    from cleanplate.errors import UsageError
    from cleanplate.terminal.text_marks import text_mask
    from model.formats import OUTPUTS, READ
    from model.imaging import Limits, probe
    from model.repair import task as repair

    mark = text_mask(text or (), area or (), any_text=any_text)
    if (mask is None) == (mark is None):
        raise UsageError("Give either a mask, or --text, --area or --any-text.")
    settings = load_settings() if weights is None else load_settings(weights=weights)
    chosen = find(settings) or ""
    if out.exists() and not force:
        raise UsageError(f"{out} exists: choose another name, or overwrite it with --force.")
    if not out.parent.is_dir():
        raise UsageError(f"There is no folder {out.parent}.")
    require_writable(out.parent)
    limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    source = _bytes(image, limits.max_bytes)
    facts = probe(source, limits)
    result_format = OUTPUTS[output] if output else READ[facts.format]
    if out.suffix.lower() not in result_format.endings:
        raise UsageError(_other_ending(image, out, facts, result_format))
    doubts: tuple[Doubt, ...] = ()
    if mask is not None:
        task = repair.read(
            source,
            _bytes(mask, limits.max_bytes),
            limits=limits,
            mask_inverted=mask_inverted,
            mask_threshold=mask_threshold,
            max_marked_share=max_marked_share,
            method=method,
            texture=texture,
        )
    elif (
        found := _text(source, mark, limits, settings.torch_threads, method=method, texture=texture)
    ).task is not None:
        task, doubts = found.task, found.doubts
    else:
        if output and OUTPUTS[output].name != facts.format:
            raise UsageError(f"{image} has no such text: nothing is written, as only repaired pictures are converted.")
        with replacing(out) as file:
            file.write(source)
        typer.echo(f"{image} has no such text; {out} is the unchanged picture.")
        return

    from model.engine.inpainter import LaMaInpainter

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with (
        LaMaInpainter(chosen, settings.device, threads=settings.torch_threads) as inpainter,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        bar = progress.add_task(image.name, total=task.tiles_total)
        recoveries: list[Recovery] = []
        run = functools.partial(inpainter.run, on_recovery=recoveries.append)
        results = repair.fill_parts(task, run, lambda done: progress.update(bar, completed=done))
    written = repair.write(task, results, output=output)
    with replacing(out) as file:
        file.write(written.data)
    for note in _notes(written.record, recoveries, doubts):
        typer.echo(f"{out}: {note}", err=True)


def _notes(record: RepairRecord, recoveries: list[Recovery], doubts: tuple[Doubt, ...]) -> list[str]:
    """What a person should know of the result."""
    from model.repair.recovery import recovery_record
    from model.text.doubt import standing

    share = recovery_record(recoveries).get("recovered")
    notes = [] if share is None else [f"recovered {share:.0%}, invented {1 - share:.0%} of the mask's area."]
    notes += [_DOUBTS[doubt] for doubt in standing(doubts, share or 0.0)]
    return [*notes, *([record["reason"]] if "reason" in record else [])]


def _other_ending(image: Path, out: Path, facts: Probe, result_format: Format) -> str:
    """Why ``out`` cannot be written under its name, and how the user gets what the name asks for."""
    from model.formats import OUTPUTS, READ

    if result_format.name != facts.format:
        return f"{out} must end in {result_format.ending}, as --output asks for that format."
    sentence = f"{out} must end in {result_format.ending}: the result has the picture's own format."
    if image.suffix.lower() not in READ[facts.format].endings:
        sentence = f"{image} is a {facts.format} file, whatever its name says. {sentence}"
    wanted = next((name for name, entry in OUTPUTS.items() if out.suffix.lower() in entry.endings), None)
    return sentence if wanted is None else f"{sentence} Or convert it with --output {wanted}."


def _text(
    source: bytes, mark: TextMask | None, limits: Limits, threads: int, *, method: RepairMethod, texture: float
) -> TextMarks:
    """The repair of the text mark."""
    from model.text.files import find
    from model.text.reading import TextReader
    from model.text.wanted import wanted

    assert mark is not None
    text = wanted(mark.texts or (), mark.areas or ())
    return find(source, text, TextReader(threads), limits=limits, method=method, texture=texture)


def _bytes(path: Path, most: int) -> bytes:
    """A file's bytes, at most ``most`` and one more, so that a file that is too large is not read whole."""
    from cleanplate.errors import UsageError

    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
